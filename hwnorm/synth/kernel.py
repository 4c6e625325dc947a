"""A kernel through synthesis, and place and route where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnorm.kernel.stream import StreamKernel
from hwnorm.synth.flow import Counts
from hwnorm.synth.synthesize import place_and_route, synthesize
from hwnorm.targets.target import Target
from hwnorm.tools import YOSYS


@dataclass(frozen=True)
class Measured:
    """What the tools found: cells, and the clock that the placement reaches; None where it was not run."""

    counts: Counts
    fmax_mhz: float | None


def synthesize_kernel(
    kernel: StreamKernel, target: Target, folder: Path, *, pnr_mhz: float | None = None, yosys: str = YOSYS
) -> Measured:
    """Synthesize the Verilog that a kernel has now, in ``folder``, which is made and keeps every log.

    Args:
        pnr_mhz: place and route too, for this clock.
        yosys: the synthesizer's command.

    Raises:
        InputError: a tool is missing, or the target has no place and route.
        ToolError: a tool failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = kernel.sources()
    for name, text in (sources | kernel.memories()).items():
        (folder / name).write_text(text, encoding="utf-8")
    paths = [folder / name for name in sources]
    return synthesize_files(kernel, paths, target, folder, pnr_mhz=pnr_mhz, yosys=yosys)


def synthesize_files(
    kernel: StreamKernel,
    sources: list[Path],
    target: Target,
    folder: Path,
    *,
    pnr_mhz: float | None = None,
    yosys: str = YOSYS,
) -> Measured:
    """The same of a kernel's Verilog that lies in files; what it reads must lie in ``folder`` already."""
    made = synthesize(sources, kernel.top, target.flow, folder, kernel.parameters, yosys)
    if pnr_mhz is None:
        return Measured(made.total, None)
    return Measured(made.total, place_and_route(made.netlist, target.flow, pnr_mhz, folder).fmax_mhz)
