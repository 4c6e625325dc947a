"""Seconds from emission to verdict for 25 different kernels of 16 input bits, every code, cold and warm."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

from hwnorm.emit.package import emit_package
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target
from hwnorm.verify.packages import verify_packages

KERNELS = 25


def cpu_seconds() -> float:
    """User and system time of this process and of all that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main() -> None:
    """Print the seconds of both passes; the second finds the simulators built."""
    formats = FixedFormat.parse("s16f11"), FixedFormat.parse("s8f5")
    target = load_target("xcup")
    texts = [f"{1.5 + i / 10:g}*tanh({0.6 + i / 16:g}*x) + {i / 50:g}" for i in range(KERNELS)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HWNORM_CACHE"] = str(Path(folder) / "cache")
        datapaths = [lower(parse(text), *formats, target, 250.0) for text in texts]
        for name in ("cold", "warm"):
            started, used = time.monotonic(), cpu_seconds()
            packages = []
            for i, datapath in enumerate(datapaths):
                packages.append(Path(folder) / f"kernel_{i}")
                emit_package(datapath, packages[-1].name, packages[-1])
            emitted = time.monotonic() - started
            verdicts = verify_packages(packages)
            passed = sum(verdict.passed for verdict in verdicts)
            print(
                f"{name}: {time.monotonic() - started:.1f} s ({emitted:.1f} s of it emission), "
                f"{cpu_seconds() - used:.1f} s of CPU; {passed} of {len(verdicts)} passed"
            )


if __name__ == "__main__":
    main()
