"""The commands about studies: many trials, and their front."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from hwnorm.cli.options import JOBS, ClusterOption, JobsOption
from hwnorm.errors import InputError
from hwnorm.progress import out

if TYPE_CHECKING:
    from hwnorm.sweep.pareto import ParetoFront


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (sweep, nas, pareto):
        app.command()(command)
    supernet = typer.Typer(help="A network whose subnets share its weights.", no_args_is_help=True)
    supernet.command()(train)
    app.add_typer(supernet, name="supernet")


def sweep(
    study_file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="study file (docs/sweeps.md)")],
    jobs: JobsOption = JOBS,
    cluster: ClusterOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="run the trials again that have failed")
    ] = False,
) -> None:
    """Run the pipeline over a grid or by a sampler: one row a trial. Goes on where it stopped."""
    from hwnorm.sweep.study import read_study
    from hwnorm.sweep.sweep import sweep as run

    study = read_study(study_file)
    summary = run(study, jobs=jobs, cluster=cluster, retry_failed=retry_failed)
    told = f"{len(summary.rows)} trials, {summary.ran} of them run now, {len(summary.failed)} failed"
    out.print(f"{study.name}: {told}; table: {study.results}", soft_wrap=True)
    for row in summary.failed:
        out.print(f"trial {row['trial']} failed: {row['error']}", soft_wrap=True)
    if summary.failed:
        out.print("--retry-failed runs them again")
        raise typer.Exit(1)


def nas(
    space_file: Annotated[Path, typer.Argument(metavar="SPACE.toml", help="space file (docs/nas.md)")],
    jobs: JobsOption = JOBS,
    cluster: ClusterOption = None,
) -> None:
    """Search the subnets of a network by loss and by the cycles of an engine. Goes on where it stopped."""
    from hwnorm.nas.nas import nas as run
    from hwnorm.nas.spacefile import read_space
    from hwnorm.nas.tables import print_front

    study = read_space(space_file)
    print_front(study, run(study, jobs=jobs, cluster=cluster), None)


def train(
    space_file: Annotated[Path, typer.Argument(metavar="SPACE.toml", help="space file (docs/nas.md)")],
    jobs: JobsOption = JOBS,
) -> None:
    """Train all subnets of a space together, on a GPU if there is one. Goes on where it stopped."""
    from hwnorm.nas.spacefile import read_space
    from hwnorm.nas.train import train_supernet

    folder = train_supernet(read_space(space_file), jobs=jobs)
    out.print(f"trained supernet: {folder}; `hwnorm nas {space_file}` searches it", soft_wrap=True)


def pareto(
    studies: Annotated[
        list[Path],
        typer.Argument(metavar="STUDY...", help="study files or a space file, or the folders beside them"),
    ],
    fps: Annotated[float | None, typer.Option(min=0, help="of a space: images a second, at least")] = None,
    max_lut: Annotated[int | None, typer.Option(min=0, help="LUTs of all kernels, at most")] = None,
    min_top1: Annotated[float | None, typer.Option(help="bit-true top-1 in per cent, at least")] = None,
    csv: Annotated[Path | None, typer.Option(help="CSV file to write the front to")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file, likewise")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Parquet file, likewise")] = None,
    pick: Annotated[
        int | None, typer.Option(min=1, help="a point of the front, by its number; else the knee")
    ] = None,
    emit: Annotated[
        Path | None,
        typer.Option(help="folder to write the picked point's verified packages to, or its run folder"),
    ] = None,
) -> None:
    """Print the front of accuracy against area, its hypervolume and its knee; emit one of its points.

    Of a space (`hwnorm nas`) the front of accuracy against cycles.
    """
    from hwnorm.nas.spacefile import is_space_file

    if any(is_space_file(path) for path in studies):
        given = {"--max-lut": max_lut, "--min-top1": min_top1, "--json": json}
        others = [name for name, value in given.items() if value is not None]
        _pareto_of_space(studies, fps, pick, emit, csv, parquet, others)
        return
    if fps is not None:
        raise InputError("option --fps: is of a space (`hwnorm nas`); of studies --max-lut and --min-top1")
    from hwnorm.stages.tables import print_wide
    from hwnorm.sweep.export import emit_point, write_front
    from hwnorm.sweep.pareto import fronts, study_rows

    found = fronts(study_rows(studies), max_lut, min_top1)
    if not found:
        raise InputError(
            "no trial is complete, verified and within --max-lut and --min-top1: there is no front"
        )
    points = [row for front in found for row in front.rows]
    knees = [front.rows[front.knee] for front in found]
    if pick is not None and pick > len(points):
        raise InputError(f"option --pick: {pick}; the front has {len(points)} points")
    if emit is not None and pick is None and len(knees) > 1:
        raise InputError("option --emit: there are several fronts; --pick says which point")
    first = 1
    for front in found:
        print_wide(front_table(front, first))
        first += len(front.rows)
        share = f"hypervolume {front.hypervolume:.4f} of the box from no accuracy at {front.largest_area:g}"
        out.print(
            f"{len(front.rows)} of {front.considered} trials; {share} {front.unit} to all of it at none",
            soft_wrap=True,
        )
    if csv is not None:
        write_front(csv, found, "csv")
    if json is not None:
        write_front(json, found, "json")
    if parquet is not None:
        write_front(parquet, found, "parquet")
    if pick is not None or emit is not None:
        row = points[pick - 1] if pick is not None else knees[0]
        out.print(f"picked: trial {row['trial']} of {row['study']}, {row['folder']}", soft_wrap=True)
        if emit is not None:
            kernels = emit_point(row, emit)
            out.print(f"{kernels} verified packages: {emit}", soft_wrap=True)


def _pareto_of_space(
    paths: list[Path],
    fps: float | None,
    pick: int | None,
    emit: Path | None,
    csv: Path | None,
    parquet: Path | None,
    others: list[str],
) -> None:
    from hwnorm.nas.emit import emit_point, read_front
    from hwnorm.nas.spacefile import read_space
    from hwnorm.nas.tables import COLUMNS, front_rows, knee_of, print_front, within
    from hwnorm.tabular import write_csv, write_parquet

    if len(paths) > 1:
        raise InputError(f"{paths[1]}: one space by itself was expected; fronts of two are not joined")
    if others:
        raise InputError(
            f"option {others[0]}: is of studies; of a space there are --fps, --pick, --emit, --csv, "
            "--parquet, and front.json in its folder"
        )
    study = read_space(paths[0])
    front = read_front(study)
    shown = within(study, front, fps)
    print_front(study, front, fps)
    if csv is not None:
        write_csv(csv, front_rows(front, shown), COLUMNS)
    if parquet is not None:
        write_parquet(parquet, front_rows(front, shown), COLUMNS)
    if pick is None and emit is None:
        return
    number = pick if pick is not None else knee_of(front, shown)
    if number not in shown:
        raise InputError(f"option --pick: {number}; the front has {', '.join(map(str, shown))}")
    out.print(f"picked: point {number}: {front.points[number - 1].subnet.subnet()}", soft_wrap=True)
    if emit is not None:
        emit_point(study, front, number, emit)
        out.print(f"run folder: {emit}; hwnorm cosim {emit} runs its engine", soft_wrap=True)


def front_table(front: ParetoFront, first: int) -> Table:
    """One line a point, smallest area first; the points are numbered from ``first``."""
    percent = " %" if front.accuracy_name == "top-1" else ""
    table = Table(
        title=f"{front.accuracy_name}, bit-true, against area", header_style="bold", box=box.SIMPLE_HEAD
    )
    settings = _settings(front.rows)
    for heading in ("point", "study", "trial", *settings):
        table.add_column(heading, justify="left" if heading == "study" else "right", no_wrap=True)
    for heading in (front.accuracy_name, "of the original", "area", "FF", "DSP", "cycles", "MHz", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for i, row in enumerate(front.rows):
        table.add_row(
            str(first + i),
            row["study"],
            str(row["trial"]),
            *(_text(row.get(name)) for name in settings),
            f"{row['accuracy_bit_true']:.4g}{percent}",
            f"{row['accuracy_layernorm']:.4g}{percent}",
            f"{row['area']:g} {front.unit}",
            str(row["ff"]),
            str(row["dsp"]),
            str(row["latency"]),
            _text(row["fmax_mhz"]),
            "knee" if i == front.knee else "",
        )
    return table


def _settings(rows: list[dict[str, Any]]) -> list[str]:
    """The columns that are settings, of all studies."""
    from hwnorm.runs.studies import SETTINGS

    return list(dict.fromkeys(name for row in rows for name in row if name in SETTINGS))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
