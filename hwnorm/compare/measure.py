"""Kernels through the same synthesis, equal ones once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hwnorm.files import digest
from hwnorm.kernel.stream import StreamKernel
from hwnorm.progress import track
from hwnorm.synth.flow import Counts
from hwnorm.synth.kernel import Measured, synthesize_kernel
from hwnorm.targets.target import Target
from hwnorm.tools import YOSYS, work_folder

#: What is measured where nothing is built.
NOTHING = Measured(Counts(lut=0, ff=0, dsp=0, bram=0), None)


def measure_kernels(
    kernels: Sequence[StreamKernel | None],
    target: Target,
    *,
    pnr_mhz: float | None = None,
    jobs: int = 1,
    yosys: str = YOSYS,
) -> list[Measured]:
    """What each kernel takes, in their order; None takes nothing.

    Args:
        pnr_mhz: place and route too, for this clock.
        jobs: runs of the tools at a time.
        yosys: the synthesizer's command.

    Raises:
        InputError: a tool is missing, or the target has no place and route.
        ToolError: a tool failed.
    """
    keys = [None if kernel is None else _key(kernel) for kernel in kernels]
    different = {key: kernel for key, kernel in zip(keys, kernels, strict=True) if kernel is not None}

    def measure(kernel: StreamKernel) -> Measured:
        with work_folder("hwnorm-compare.") as folder:
            return synthesize_kernel(kernel, target, folder / "synth", pnr_mhz=pnr_mhz, yosys=yosys)

    with ThreadPoolExecutor(jobs) as pool:
        done = track(
            pool.map(measure, different.values()), f"compare: synthesis for {target.name}", len(different)
        )
        found = dict(zip(different, done, strict=True))
    return [NOTHING if key is None else found[key] for key in keys]


def _key(kernel: StreamKernel) -> str:
    """What synthesis depends on."""
    return digest(kernel.top, kernel.sources(), kernel.memories(), kernel.parameters)
