"""The commands."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnorm.cli.group import Commands, TakesExpression
from hwnorm.cli.options import (
    JOBS,
    ClusterOption,
    ForceOption,
    FromOption,
    JobsOption,
    RunArgument,
    held_run,
    takes_settings,
    the_expression,
)
from hwnorm.errors import InputError
from hwnorm.locks import alone_in
from hwnorm.progress import out
from hwnorm.rounding import ulp_text
from hwnorm.runs.settings import Finetune, Norms
from hwnorm.version import VERSION

app = typer.Typer(
    cls=Commands,
    help="Streaming stand-ins for the norm layers of a trained vision transformer, down to verified RTL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hwnorm {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Takes a trained vision transformer to verified RTL for its norm layers."""


def _change_settings(run: Any, **options: Any) -> None:
    """Make the options that were given settings of an open run."""
    given = {name: value for name, value in options.items() if value is not None}
    if given:
        run.change_settings(**given)


@app.command()
@takes_settings
def run(
    out_folder: Annotated[Path, typer.Option("--out", help="run folder to make or to go on with")],
    values: dict[str, Any],
    jobs: JobsOption = JOBS,
    cluster: ClusterOption = None,
    force: ForceOption = False,
) -> None:
    """The main job: a trained transformer in, verified RTL and a report out. Goes on where it stopped."""
    from hwnorm.api import run as run_all
    from hwnorm.stages.tables import accuracy_table, integer_table, kernel_table, print_wide

    found = run_all(out_folder, jobs=jobs, cluster=cluster, force=force, **values)
    print_wide(kernel_table(found.choice.layers, found.verdicts))
    out.print("LUT, FF and DSP are the cost model's, without the stream wrapper.", style="dim")
    print_wide(accuracy_table(found.realigned))
    if found.integer is not None:
        print_wide(integer_table(found.integer))
    for verdict in found.verdicts:
        if not verdict.passed:
            path = found.folder / "packages" / verdict.top / "verdict.json"
            out.print(f"FAILED: {verdict.top}; see {path}", style="bold red")
    out.print(f"Run folder: {found.folder}  Report: {found.report}", soft_wrap=True)
    if not found.passed:
        raise typer.Exit(1)


@app.command()
@takes_settings
def capture(run_folder: RunArgument, values: dict[str, Any], force: ForceOption = False) -> None:
    """Make a run folder with its settings, and profile every norm of the model on the training images."""
    from hwnorm.runs.folder import RunFolder
    from hwnorm.runs.inputs import Inputs
    from hwnorm.runs.settings import make_settings
    from hwnorm.stages.capture import capture as stage

    opened = RunFolder.create(run_folder, make_settings(**values), force)
    with alone_in(run_folder):
        stage(opened, Inputs(opened.settings))
    out.print(f"profiles: {opened.path / 'profiles'}", soft_wrap=True)


@app.command()
def search(run_folder: RunArgument, jobs: JobsOption = JOBS, cluster: ClusterOption = None) -> None:
    """Evolve each layer's functions: fronts of error against hardware cost."""
    from hwnorm.stages.search import search as stage

    opened = held_run(run_folder)
    stage(opened, jobs, cluster)
    out.print(f"fronts: {opened.path / 'fronts'}", soft_wrap=True)


@app.command(cls=TakesExpression)
def score(
    run_folder: RunArgument,
    expression: Annotated[str | None, typer.Argument(help='such as "0.668*clip(2.38*x, 5)"')] = None,
    expression_file: FromOption = None,
    *,
    layer: Annotated[str, typer.Option("--layer", help="norm layer, such as blocks.3.norm1")],
) -> None:
    """Score a formula of your own for a layer: R2, bit-true, and hardware, beside the front."""
    from hwnorm.runs.folder import RunFolder
    from hwnorm.stages.score import score as stage
    from hwnorm.stages.score import score_table
    from hwnorm.stages.tables import print_wide

    found = stage(RunFolder.open(run_folder), layer, the_expression(expression, expression_file))
    print_wide(score_table(found))
    better = found.better()
    if better:
        out.print(f"{len(better)} of the front are no worse in error and cost, the first {better[0].family}.")
    elif found.front:
        out.print("Nothing on the front is as good in both error and cost.")


@app.command()
def choose(
    run_folder: RunArgument,
    total_area: Annotated[
        float | None,
        typer.Option(help="area of all kernels together, at most, in the target's unit: the least loss"),
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(help="the network's loss, at most: the least area; nats an image")
    ] = None,
    jobs: JobsOption = JOBS,
) -> None:
    """Choose one function a layer by what it costs the network; a budget given here becomes the run's."""
    from hwnorm.runs.inputs import Inputs
    from hwnorm.runs.products import CHOICE, CHOICES
    from hwnorm.stages.choose import choose as stage
    from hwnorm.stages.tables import front_table, kernel_table, print_wide

    opened = held_run(run_folder)
    if total_area is not None or max_loss is not None:
        opened.change_settings(total_area=total_area, max_loss=max_loss)
    stage(opened, Inputs(opened.settings), jobs)
    opened.keep_settings()
    choice = opened.read(CHOICE)
    out.print(front_table(opened.read(CHOICES), choice))
    print_wide(kernel_table(choice.layers, []))


@app.command()
def realign(
    run_folder: RunArgument,
    finetune: Annotated[
        Finetune | None, typer.Option(help="as the run's setting of that name, which it becomes")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="likewise")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="likewise")] = None,
    hardware_in_loop: Annotated[bool | None, typer.Option(help="likewise")] = None,
) -> None:
    """Replace the norms, refit the linear layers around them in closed form, and measure."""
    from hwnorm.realign.distributed import is_first
    from hwnorm.runs.inputs import Inputs
    from hwnorm.runs.products import REALIGNED
    from hwnorm.stages.realign import realign as stage
    from hwnorm.stages.tables import accuracy_table, print_wide

    opened = held_run(run_folder)
    _change_settings(
        opened,
        finetune=finetune,
        epochs=epochs,
        learning_rate=learning_rate,
        hardware_in_loop=hardware_in_loop,
    )
    stage(opened, Inputs(opened.settings))
    if is_first():
        opened.keep_settings()
        print_wide(accuracy_table(opened.read(REALIGNED)))
        if opened.settings.finetuning_integers is not None:
            out.print(f"Fine-tuning is through all integers: `hwnorm quantize {run_folder}`", soft_wrap=True)


@app.command()
def quantize(
    run_folder: RunArgument,
    ratio8: Annotated[
        float | None, typer.Option(help="as the run's setting of that name, which it becomes")
    ] = None,
    per_layer: Annotated[bool | None, typer.Option(help="likewise")] = None,
    row_step: Annotated[int | None, typer.Option(help="likewise")] = None,
    activation_bits: Annotated[int | None, typer.Option(help="likewise")] = None,
    norms: Annotated[Norms | None, typer.Option(help="likewise")] = None,
    keep_norms: Annotated[str | None, typer.Option(help="likewise")] = None,
    finetune: Annotated[Finetune | None, typer.Option(help="likewise")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="likewise")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="likewise")] = None,
    hardware_in_loop: Annotated[bool | None, typer.Option(help="likewise")] = None,
) -> None:
    """Make integers of the whole network: row-wise 4 and 8-bit weights, a format a tensor; and measure."""
    from hwnorm.realign.distributed import is_first
    from hwnorm.runs.inputs import Inputs
    from hwnorm.runs.products import INTEGER
    from hwnorm.stages.quantize import quantize as stage
    from hwnorm.stages.tables import integer_table, print_wide, rows_table

    opened = held_run(run_folder)
    _change_settings(
        opened,
        ratio8=ratio8,
        per_layer=per_layer,
        row_step=row_step,
        activation_bits=activation_bits,
        norms=norms,
        keep_norms=keep_norms,
        finetune=finetune,
        epochs=epochs,
        learning_rate=learning_rate,
        hardware_in_loop=hardware_in_loop,
    )
    stage(opened, Inputs(opened.settings))
    if not is_first():
        return
    opened.keep_settings()
    found = opened.read(INTEGER)
    print_wide(rows_table(found))
    print_wide(integer_table(found))


@app.command()
def export(
    run_folder: RunArgument,
    onnx: Annotated[Path | None, typer.Option(help="write ONNX with quantized weights and tensors")] = None,
    qonnx: Annotated[Path | None, typer.Option(help="write QONNX, which has any number of bits")] = None,
) -> None:
    """Write the integer network for other tools."""
    from hwnorm.data.config import input_config
    from hwnorm.integers.onnx_export import export_onnx, export_qonnx
    from hwnorm.runs.inputs import Inputs
    from hwnorm.stages.quantize import integer_network

    if onnx is None and qonnx is None:
        raise InputError("export: nothing to write; give --onnx FILE or --qonnx FILE")
    opened = held_run(run_folder)
    network = integer_network(opened)
    size = input_config(Inputs(opened.settings).model)["input_size"][1:]
    for path, write in ((onnx, export_onnx), (qonnx, export_qonnx)):
        if path is not None:
            write(network, path, size)
            out.print(f"written: {path}", soft_wrap=True)


@app.command()
def emit(run_folder: RunArgument) -> None:
    """Write Verilog, HLS C++, a testbench and a manifest for each layer."""
    from hwnorm.stages.emit import emit as stage

    opened = held_run(run_folder)
    stage(opened)
    out.print(f"packages: {opened.path / 'packages'}", soft_wrap=True)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="run folder, or the folder of one package")],
    jobs: JobsOption = JOBS,
    formal: Annotated[
        bool, typer.Option("--formal", help="prove the combinational cores with Yosys too")
    ] = False,
) -> None:
    """Run every input code through every kernel in Verilator and in HLS, and stress its stream."""
    from hwnorm.runs.products import VERDICTS
    from hwnorm.stages.verify import verify as stage
    from hwnorm.verify.packages import verify_packages

    if (folder / "manifest.json").is_file():
        verdicts = verify_packages([folder], jobs=jobs, formal=formal)
    else:
        if not (folder / "run.json").is_file():
            raise InputError(
                f"{folder}: neither a package (it has no manifest.json) nor a run folder (no run.json)"
            )
        opened = held_run(folder)
        stage(opened, jobs, formal)
        verdicts = list(opened.read(VERDICTS).packages)
    _tell(verdicts)


@app.command()
def report(
    path: Annotated[Path, typer.Argument(help="run folder, or a study or a space: its file or its folder")],
    jobs: JobsOption = JOBS,
) -> None:
    """Draw the pictures of a run, of a study or of a space's search, and write report.html."""
    from hwnorm.nas.spacefile import is_space_file, read_space
    from hwnorm.report.study_page import write_study_report
    from hwnorm.stages.report import report as stage

    if is_space_file(path):
        from hwnorm.nas.page import write_page

        page = write_page(read_space(path))
    elif path.suffix == ".toml" or (path / "study.json").is_file():
        page = write_study_report(path)
    else:
        page = stage(held_run(path), jobs)
    out.print(f"report: {page}", soft_wrap=True)


@app.command("compile", cls=TakesExpression)
def compile_(
    *,
    expression: Annotated[str | None, typer.Argument(help='such as "2.58*tanh(x)+0.24"')] = None,
    expression_file: FromOption = None,
    input_format: Annotated[str, typer.Option("--input", help="s16f11: signed, 16 bits, 11 fractional")],
    output_format: Annotated[str, typer.Option("--output", help="in the same form")],
    out_folder: Annotated[Path, typer.Option("--out", help="package folder to write")],
    target: Annotated[str, typer.Option(help="technology: a shipped one, or a JSON file")] = "xcup",
    cost_weights: Annotated[
        str, typer.Option(help="weights of the cost, such as lut=1,dsp=50; else the target's own")
    ] = "",
    clock: Annotated[float | None, typer.Option(help="clock in MHz; the target's own if not given")] = None,
    lanes: Annotated[int, typer.Option(min=1, help="elements a beat of the stream")] = 1,
    top: Annotated[str, typer.Option(help="name of the Verilog module")] = "hwnorm_kernel",
    error: Annotated[
        str, typer.Option(help="bound of the error: 1.0ulp is faithful, 0.5ulp correctly rounded")
    ] = "1.0ulp",
    no_fuse: Annotated[
        bool, typer.Option("--no-fuse", help="build the operators as written, no unit for several of them")
    ] = False,
    jobs: JobsOption = JOBS,
    force: ForceOption = False,
) -> None:
    """Turn any expression into a verified package, without a model."""
    from hwnorm.stages.compile import compile

    found = compile(
        the_expression(expression, expression_file),
        input=input_format,
        output=output_format,
        out=out_folder,
        target=target,
        cost_weights=cost_weights,
        clock_mhz=clock,
        lanes=lanes,
        top=top,
        error=_ulps(error),
        fuse=not no_fuse,
        jobs=jobs,
        force=force,
    )
    path, used = found.datapath, found.resources
    out.print(
        f"{top}: {path.input} -> {path.output}, {path.latency} cycles, "
        f"{used.lut} LUT, {used.ff} FF, {used.dsp} DSP, "
        f"{'largest error' if path.certificate.exhaustive else 'error proven below'} "
        f"{ulp_text(path.certificate.max_error_ulp)} ulp; package: {found.folder}",
        soft_wrap=True,
    )
    _tell([found.verdict])


def _ulps(text: str) -> float:
    """The number in ``0.5ulp`` or ``0.5``."""
    try:
        bound = float(text.removesuffix("ulp"))
    except ValueError:
        bound = math.nan
    if not 0 < bound < math.inf:
        raise InputError(f"option --error: {text!r}; a positive number of ulp is needed, such as 1.0ulp")
    return bound


def _tell(verdicts: list[Any]) -> None:
    """Print a line a verdict and one for each problem; exit with 1 unless all passed."""
    for verdict in verdicts:
        tools = "Verilator" if verdict.hls_bit_exact is None else "Verilator and HLS"
        checks = f"{verdict.codes} codes bit-exact in {tools}, stream contract kept"
        out.print(f"{verdict.top}: {checks if verdict.passed else 'FAILED'}", soft_wrap=True)
        if verdict.formal != "not tried" and verdict.formal_counterexample is None:
            out.print(f"  combinational core {verdict.formal}", soft_wrap=True)
        for problem in verdict.problems():
            out.print(f"  {problem}", style="red", soft_wrap=True)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


@app.command()
def fuzz(
    count: Annotated[int, typer.Option(min=1, help="expressions to draw")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="of the sequence of expressions")] = 0,
    out_folder: Annotated[Path, typer.Option("--out", help="folder for the files of failures")] = Path(
        "fuzz"
    ),
    replay: Annotated[Path | None, typer.Option(help="check the failure in this file again instead")] = None,
    jobs: JobsOption = JOBS,
) -> None:
    """Random expressions through the datapath, Verilator and HLS; what fails is shrunk and kept."""
    from hwnorm.fuzz.run import fuzz as run_cases
    from hwnorm.fuzz.run import replay_file

    if replay is None:
        summary = run_cases(count, seed, jobs, out_folder)
        lines, failed, interrupted = summary.lines(), bool(summary.failed), summary.interrupted
    else:
        lines, failed = replay_file(replay)
        interrupted = False
    for line in lines:
        out.print(line, soft_wrap=True)
    if failed or interrupted:
        raise typer.Exit(1 if failed else 130)
