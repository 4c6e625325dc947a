"""The front of one study or several: accuracy of the bit-true network against the area of its kernels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.runs.studies import check_rows
from hwnorm.search.front import hypervolume, knee, non_dominated
from hwnorm.sweep.table import read_table

#: The greatest accuracy there is, by its name.
PERFECT = {"top-1": 100.0, "cosine": 1.0}


@dataclass(frozen=True)
class ParetoFront:
    """The non-dominated trials among those that can be compared, smallest area first.

    ``considered`` counts all of those. ``hypervolume`` is the area between the front and the corner of no
    accuracy at ``largest_area``, that of the largest trial, as a share of the whole box. ``knee`` is the
    place of the knee in ``rows``.
    """

    accuracy_name: str
    unit: str
    rows: list[dict[str, Any]]
    considered: int
    largest_area: float
    hypervolume: float
    knee: int


def on_front(row: dict[str, Any]) -> bool:
    """Whether a trial may be on a front: complete, with every kernel verified."""
    return row["state"] == "complete" and bool(row["verified"])


def front_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that no other beats or equals in accuracy and area; of equal ones the first. Smallest first."""
    return non_dominated((-row["accuracy_bit_true"], row["area"], row) for row in rows)


def fronts(
    rows: Iterable[dict[str, Any]], max_lut: int | None = None, min_top1: float | None = None
) -> list[ParetoFront]:
    """The fronts of rows: one for each kind of accuracy and unit of area, which cannot be compared.

    Args:
        max_lut: LUTs of all kernels, at most.
        min_top1: top-1 of the bit-true network in per cent, at least.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if on_front(row):
            groups.setdefault((row["accuracy_name"], row["unit"]), []).append(row)
    found = []
    for (name, unit), of_group in sorted(groups.items()):
        kept = front_rows(
            row
            for row in of_group
            if (max_lut is None or row["lut"] <= max_lut)
            and (min_top1 is None or (name == "top-1" and row["accuracy_bit_true"] >= min_top1))
        )
        if not kept:
            continue
        largest, perfect = max(row["area"] for row in of_group), PERFECT[name]
        points = [(perfect - row["accuracy_bit_true"], row["area"]) for row in kept]
        box = largest * perfect
        share = hypervolume(points, (perfect, largest)) / box if box else 0.0
        bent = knee([(row["area"], -row["accuracy_bit_true"]) for row in kept])
        found.append(ParetoFront(name, unit, kept, len(of_group), largest, share, bent))
    return found


def study_rows(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of studies, each with the name of its study and the folder of its trial.

    Args:
        paths: study files, or the folders beside them.

    Raises:
        InputError: one has no table or a damaged one, or two are called alike.
    """
    found = []
    folders = [path.with_suffix("") if path.suffix == ".toml" else path for path in paths]
    names = [folder.resolve().name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"study {name!r}: named twice; each study once was expected")
    for name, folder in zip(names, folders, strict=True):
        rows = read_table(folder / "results.parquet")
        check_rows(rows, folder / "results.parquet")
        for row in rows:
            at = folder / "trials" / f"{row['trial']:04d}"
            found.append({"study": name} | row | {"folder": at})
    return found
