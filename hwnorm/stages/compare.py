"""``hwnorm compare``: every design of every layer through the same synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnorm.compare.comparison import Comparison
from hwnorm.compare.designs import CHOSEN, FAMILIES, LAYERNORM, figures, scalar_designs
from hwnorm.compare.measure import measure_kernels
from hwnorm.datapath.ir import Datapath
from hwnorm.emit.stage import DatapathStage
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.kernel.stream import StreamKernel
from hwnorm.layernorm import LayerNormDesign, LayerNormKernel
from hwnorm.network.choice import Chosen
from hwnorm.progress import track
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import CHOICE, COMPARISON, FRONT, PROFILE
from hwnorm.targets.target import Target, load_target
from hwnorm.tools import YOSYS, versions_of

#: The name of the Verilog module of every stage of a datapath that is compared.
_TOP = "stage"


@dataclass(frozen=True)
class _Design:
    """One design for one layer; ``kernel`` is None where nothing is built."""

    layer: str
    channels: int
    design: str
    expression: str
    r2: float | None
    kernel: StreamKernel | None


def compare(
    run: RunFolder, target_name: str | None, lanes: int, pnr: bool, jobs: int, yosys: str = YOSYS
) -> Comparison:
    """Write and return ``compare.json``: each layer's designs, LayerNorm first.

    The chosen function of a layer that folds takes nothing; what it replaces stands beside it.

    Args:
        run: with profiles and a choice.
        target_name: the run's own if None. The run's cost weights are its own target's; another target
            keeps those of its file, which are in other units.
        lanes: elements a beat of every design.
        pnr: place and route too, for the clock that each design reaches.
        jobs: runs of the tools at a time.
        yosys: the synthesizer's command.

    Raises:
        InputError: no choice yet, lanes that do not divide a token, or a tool is missing.
        ToolError: a tool failed.
    """
    target = _target(run, target_name)
    clock = run.settings.clock_mhz
    designs: list[_Design] = []
    choice = run.read(CHOICE).layers
    for chosen in track(choice, "compare: functions", len(choice)):
        designs += _designs(run, chosen, target, lanes, clock)
    kernels = [design.kernel for design in designs]
    measured = measure_kernels(kernels, target, pnr_mhz=clock if pnr else None, jobs=jobs, yosys=yosys)
    result = [
        figures(counts=found.counts, fmax=found.fmax_mhz, lanes=lanes, target=target, **vars(design))
        for design, found in zip(designs, measured, strict=True)
    ]
    tools = versions_of(yosys)
    options = digest(target.model_dump(mode="json"), lanes, pnr)
    made_from = run.made_from(COMPARISON, None, options=options, tools=digest(tools))
    comparison = Comparison(
        target=target.name, unit=target.unit, lanes=lanes, tools=tools, rows=tuple(result)
    )
    run.write(COMPARISON, comparison, made_from)
    return comparison


def _target(run: RunFolder, name: str | None) -> Target:
    """The named target; the run's own with the weights that the run was chosen by."""
    s = run.settings
    if name is not None and name.endswith(".json"):
        name = str(Path(name).absolute())  # as the settings have it
    return load_target(s.target, s.cost_weights) if name in (None, s.target) else load_target(name)


def _designs(run: RunFolder, chosen: Chosen, target: Target, lanes: int, clock: float) -> list[_Design]:
    found = run.read(PROFILE, chosen.layer)
    if found.whole:
        raise InputError(
            f"layer {chosen.layer!r}: its norm is over all axes but the batch's; there is no such LayerNorm "
            "in hardware to hold its function beside"
        )
    profile = found.statistics
    if chosen.datapath is None:
        front = run.read(FRONT, chosen.layer)
        formats = front.input, front.output
    else:
        formats = chosen.datapath.input, chosen.datapath.output

    def design(name: str, expression: str, r2: float | None, kernel: StreamKernel | None) -> _Design:
        return _Design(chosen.layer, profile.channels, name, expression, r2, kernel)

    def stage(datapath: Datapath) -> DatapathStage:
        return DatapathStage(datapath, _TOP, lanes)

    norm = LayerNormKernel(LayerNormDesign(profile.channels, lanes, *formats))
    families = scalar_designs(profile, formats, target, clock)
    built = None if chosen.datapath is None else stage(chosen.datapath)
    return [
        design(LAYERNORM, "(x - mean) / sqrt(variance + eps)", None, norm),
        *(design(FAMILIES[f], found.expression, r2, stage(found)) for f, (r2, found) in families.items()),
        design(CHOSEN, chosen.expression, chosen.r2_bit_true, built),
    ]
