"""A front as a file, and one of its points as a folder of verified packages."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hwnorm.errors import InputError
from hwnorm.files import digest, new_folder
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import PRODUCTS, VERDICTS
from hwnorm.runs.studies import SETTINGS, FrontFile, FrontHead, FrontPoint, PickedPoint, StudyRow
from hwnorm.sweep.pareto import ParetoFront
from hwnorm.sweep.table import column_types
from hwnorm.tabular import write_csv, write_parquet

#: What an emitted point takes along of its run folder.
TAKEN = tuple(
    dict.fromkeys(
        Path(place).parts[0]
        for product in PRODUCTS
        if product.exported
        for place in (product.place, *product.beside)
    )
)


def write_front(path: Path, found: Sequence[ParetoFront], form: Literal["csv", "json", "parquet"]) -> None:
    """Write the points of fronts with all columns of their rows, and ``point``, ``study`` and ``knee``."""
    rows: list[dict[str, Any]] = []
    for front in found:
        for i, row in enumerate(front.rows):
            rows.append({"point": len(rows) + 1, "knee": i == front.knee} | row)
    settings = list(dict.fromkeys(name for row in rows for name in row if name in SETTINGS))
    types = {"point": int, "study": str, "knee": bool} | column_types(settings)
    plain = [{name: row.get(name) for name in types} for row in rows]
    if form == "parquet":
        write_parquet(path, plain, types)
    elif form == "csv":
        write_csv(path, plain, types)
    else:
        heads = [
            FrontHead.model_validate({name: getattr(front, name) for name in FrontHead.model_fields})
            for front in found
        ]
        points = [FrontPoint.model_validate(row) for row in plain]
        FrontFile(fronts=tuple(heads), points=tuple(points)).write(path, None, {})


def emit_point(row: dict[str, Any], folder: Path) -> int:
    """Copy a trial's packages with their verdicts, its choice and its weights, whole or not at all.

    ``manifest.json`` names the study, the trial, its row, the kernels and every file's SHA-256.

    Returns:
        How many packages there are; of a layer that folds there is a manifest alone, which does not count.

    Raises:
        InputError: ``folder`` is not empty, the trial's run folder is not whole, or a package did not pass.
    """
    with new_folder(folder, "--emit") as beside:
        trial: Path = row["folder"]
        for name in TAKEN:
            if not (trial / name).exists():
                raise InputError(
                    f"{trial / name}: not there; `hwnorm run` with the trial's settings makes it again"
                )
        run = RunFolder.open(trial)
        verdicts = run.read(VERDICTS).packages
        for product in PRODUCTS:
            if product.exported and (why := run.stale(product)) is not None:
                raise InputError(f"{run.at(product)}: {why}")
        failed = [verdict.top for verdict in verdicts if not verdict.passed]
        if failed:
            raise InputError(f"{trial / 'verdict.json'}: {failed[0]} did not pass; `hwnorm verify {trial}`")
        for name in TAKEN:
            if (trial / name).is_dir():
                shutil.copytree(trial / name, beside / name, ignore=shutil.ignore_patterns(".*"))
            else:
                shutil.copyfile(trial / name, beside / name)
        files = {
            str(path.relative_to(beside)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(beside.rglob("*"))
            if path.is_file()
        }
        told = {name: value for name, value in row.items() if name != "folder"}
        kernels = tuple(verdict.top for verdict in verdicts)
        point = PickedPoint(row=StudyRow.model_validate(told), kernels=kernels, files=files)
        point.write(beside / "manifest.json", None, {"trial": digest(told)})
    return len(verdicts)
