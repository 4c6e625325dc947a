"""Seconds from emission to verdict for 13 different kernels of 16 input bits, cold and warm."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from hwnorm.datapath.lower import lower
from hwnorm.emit.package import emit_package
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.targets.target import load_target
from hwnorm.verify.packages import verify_packages


def main() -> None:
    """Print the seconds of both passes; the second finds the simulators built."""
    formats = FixedFormat.parse("s16f11"), FixedFormat.parse("s8f5")
    target = load_target("xcup")
    texts = [f"{1.5 + i / 10:g}*tanh({0.6 + i / 16:g}*x) + {i / 50:g}" for i in range(13)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HWNORM_CACHE"] = str(Path(folder) / "cache")
        for name in ("cold", "warm"):
            started = time.monotonic()
            packages = []
            for i, text in enumerate(texts):
                packages.append(Path(folder) / f"kernel_{i}")
                emit_package(lower(parse(text), *formats, target, 250.0), f"kernel_{i}", packages[-1])
            verdicts = verify_packages(packages)
            passed = sum(verdict.passed for verdict in verdicts)
            print(f"{name}: {time.monotonic() - started:.1f} s, {passed} of {len(verdicts)} passed")


if __name__ == "__main__":
    main()
