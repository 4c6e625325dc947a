"""``hwnorm compare``: every design of every layer through the same synthesis."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hwnorm.compare.designs import CHOSEN, FAMILIES, LAYERNORM, Figures, figures, scalar_designs
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import to_json
from hwnorm.emit.package import emit_package
from hwnorm.files import digest, read_artefact
from hwnorm.layernorm import LayerNormDesign
from hwnorm.network.choice import Chosen, read_choice
from hwnorm.profile import read_profile
from hwnorm.progress import track
from hwnorm.run.folder import RunFolder
from hwnorm.search.layer import Front
from hwnorm.synth.flow import Counts
from hwnorm.synth.synthesize import place_and_route, stage_sources, synthesize
from hwnorm.synth.tools import YOSYS, versions_of
from hwnorm.targets.target import Target, load_target

NOTHING = Counts(lut=0, ff=0, dsp=0, bram=0)
#: The name of the Verilog module of every stage that is compared.
_TOP = "stage"


@dataclass(frozen=True)
class _Design:
    """One thing to synthesize; equal ones of several layers are synthesized once."""

    key: str
    #: Sources, top module and parameters; None where nothing is built.
    build: Callable[[Path], tuple[list[Path], str, dict[str, int]]] | None


def compare(
    run: RunFolder, target_name: str | None, lanes: int, pnr: bool, jobs: int, yosys: str = YOSYS
) -> list[Figures]:
    """Write ``compare.json`` and return its rows: each layer's designs, LayerNorm first.

    The chosen function of a layer that folds takes nothing; what it replaces stands beside it.

    Args:
        run: with profiles and a choice.
        target_name: the run's own if None.
        lanes: elements a beat of every design.
        pnr: place and route too, for the clock that each design reaches.
        jobs: runs of the tools at a time.
        yosys: the synthesizer's command.

    Raises:
        InputError: no choice yet, lanes that do not divide a token, or a tool is missing.
        ToolError: a tool failed.
    """
    target = load_target(target_name or run.settings.target)
    clock = run.settings.clock_mhz
    designs: dict[str, _Design] = {}
    rows: list[tuple[str, dict[str, Any]]] = []

    def add(built: _Design, **row: Any) -> None:
        designs.setdefault(built.key, built)
        rows.append((built.key, row))

    choice = read_choice(run.choice)
    for chosen in track(choice, "compare: functions", len(choice)):
        _add_layer(add, run, chosen, target, lanes, clock)

    def measure(design: _Design) -> tuple[Counts, float | None]:
        with TemporaryDirectory() as name:
            if design.build is None:
                return NOTHING, None
            sources, top, parameters = design.build(Path(name))
            made = synthesize(sources, top, target.flow, Path(name) / "synth", parameters, yosys)
            fmax = place_and_route(made.netlist, target.flow, clock, made.folder).fmax_mhz if pnr else None
            return made.total, fmax

    with ThreadPoolExecutor(jobs) as pool:
        done = track(
            pool.map(measure, designs.values()), f"compare: synthesis for {target.name}", len(designs)
        )
        found = dict(zip(designs, done, strict=True))
    result = [
        figures(counts=found[key][0], fmax=found[key][1], lanes=lanes, target=target, **row)
        for key, row in rows
    ]
    made_from = digest(run.choice, target.model_dump(mode="json"), lanes, pnr)
    body = {
        "target": target.name,
        "unit": target.unit,
        "lanes": lanes,
        "tools": versions_of(yosys),
        "rows": [row.to_json() for row in result],
    }
    run.write(run.path / "compare.json", "compare", made_from, body)
    return result


def _add_layer(
    add: Callable[..., None], run: RunFolder, chosen: Chosen, target: Target, lanes: int, clock: float
) -> None:
    profile = read_profile(run.profile(chosen.layer))
    if chosen.datapath is None:
        front = Front.from_json(read_artefact(run.front(chosen.layer), "front"))
        formats = front.input, front.output
    else:
        formats = chosen.datapath.input, chosen.datapath.output
    common = {"layer": chosen.layer, "channels": profile.channels, "formats": formats}
    norm = LayerNormDesign(profile.channels, lanes, *formats)
    add(
        _layernorm(norm),
        design=LAYERNORM,
        expression="(x - mean) / sqrt(variance + eps)",
        r2=None,
        latency=norm.latency,
        **common,
    )
    for family, (r2, found) in scalar_designs(profile, formats, target, clock).items():
        add(
            _kernel(found, lanes),
            design=FAMILIES[family],
            expression=found.expression,
            r2=r2,
            latency=found.latency,
            **common,
        )
    add(
        _Design("folds", None) if chosen.datapath is None else _kernel(chosen.datapath, lanes),
        design=CHOSEN,
        expression=chosen.expression,
        r2=chosen.r2_bit_true,
        latency=0 if chosen.datapath is None else chosen.datapath.latency,
        **common,
    )


def _layernorm(design: LayerNormDesign) -> _Design:
    def build(folder: Path) -> tuple[list[Path], str, dict[str, int]]:
        return design.sources, "layernorm", design.parameters()

    return _Design(f"layernorm {design.parameters()}", build)


def _kernel(datapath: Datapath, lanes: int) -> _Design:
    def build(folder: Path) -> tuple[list[Path], str, dict[str, int]]:
        emit_package(datapath, _TOP, folder / _TOP, lanes=lanes)
        return stage_sources(folder / _TOP, _TOP), _TOP, {}

    return _Design(digest(to_json(datapath), lanes), build)


def totals(rows: list[Figures]) -> dict[str, dict[str, float]]:
    """For each design the sums over all layers: of area, of cycles to the first result, and of bytes."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        total = found.setdefault(row.design, {})
        for name in (
            "lut",
            "ff",
            "dsp",
            "bram",
            "area",
            "latency",
            "bytes_per_token",
            "bytes_unbuffered",
            "area_cycles",
        ):
            total[name] = total.get(name, 0) + getattr(row, name)
    return found
