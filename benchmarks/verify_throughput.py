"""Codes a second that verification runs through built simulators: Verilator's bench, and the HLS program."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from hwnorm.emit.package import emit_package
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target
from hwnorm.verify.bench import simulate
from hwnorm.verify.csim import run_csim
from hwnorm.verify.kernel import Kernel, load_kernel
from hwnorm.verify.toolchain import Toolchain, find_toolchain

KERNELS = 25


def seconds(tool: str, kernels: list[Kernel], toolchain: Toolchain) -> float:
    """Seconds of one run over all codes of all kernels, the simulator being built."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        if tool == "Verilator":
            simulate(kernels, toolchain, Path(folder), seed=0, jobs=2)
        else:
            run_csim(kernels, toolchain, Path(folder))
        return time.monotonic() - started


def main() -> None:
    """Print the best of three runs of each tool."""
    formats = FixedFormat.parse("s16f11"), FixedFormat.parse("s8f5")
    target = load_target("xcup")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HWNORM_CACHE"] = str(Path(folder) / "cache")
        toolchain = find_toolchain()
        kernels = []
        for i in range(KERNELS):
            expression = parse(f"{2.58 + i / 50:g}*tanh(x) + {0.24 + i / 50:g}")
            package = Path(folder) / f"kernel_{i}"
            emit_package(lower(expression, *formats, target, 250.0), package.name, package)
            kernels.append(load_kernel(package, seed=0))
            assert len(kernels[-1].results) == 1 << 16  # and evaluated, before the clock runs
        codes = sum(len(kernel.codes) for kernel in kernels)
        for tool, what in (("Verilator", "stream bench, sweep and protocol test"), ("HLS", "program")):
            seconds(tool, kernels, toolchain)  # builds it
            best = min(seconds(tool, kernels, toolchain) for _ in range(3))
            print(f"{tool} ({what}): {codes} codes in {best:.2f} s, {codes / best:,.0f} a second")


if __name__ == "__main__":
    main()
