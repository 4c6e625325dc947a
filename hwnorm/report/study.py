"""What a study's folder holds, read for its page: the table of trials, and the run folder of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.progress import track
from hwnorm.report.artefacts import Run, read_run
from hwnorm.report.style import in_order
from hwnorm.runs.studies import Row, StudyRecord, check_rows
from hwnorm.search.front import non_dominated

#: Where a study's storage may need a password, it is nobody's who reads the page.
_PRIVATE = ("storage",)


@dataclass(frozen=True, eq=False)
class Trial:
    """A trial, equal to itself alone; ``run`` is None where it failed, or its folder did not come along."""

    row: Row
    run: Run | None

    @property
    def number(self) -> int:
        return self.row.trial

    @property
    def accuracy(self) -> float:
        """Of the bit-true network, in the unit of ``accuracy_name``; of a trial that is measured."""
        assert self.row.accuracy_bit_true is not None
        return self.row.accuracy_bit_true

    @property
    def area(self) -> float:
        """Of a trial that is measured."""
        assert self.row.area is not None
        return self.row.area

    @property
    def family(self) -> str:
        """That of most kernels; "affine" where all norms fold, "unknown" where there is no run folder."""
        if self.run is None:
            return "unknown"
        chosen = [layer.chosen for layer in self.run.layers if layer.chosen]
        built = Counter(c.family for c in chosen if c.datapath is not None)
        most = {family for family, count in built.items() if count == max(built.values())}
        return in_order(most)[0] if most else "affine"


@dataclass(frozen=True)
class Study:
    """A study, its trials by number.

    ``shown`` are those that the picture can show together: measured, with the kind of accuracy and the unit
    of area that most have. ``front`` are those of them, all kernels verified, that no other beats or equals
    in accuracy and area; the smallest first.
    """

    name: str
    folder: Path
    #: Tables of the study file: name -> settings.
    tables: dict[str, dict[str, Any]]
    trials: list[Trial]
    shown: list[Trial]
    front: list[Trial]

    @property
    def accuracy_name(self) -> str:
        return str(self.shown[0].row.accuracy_name) if self.shown else "accuracy"

    @property
    def unit(self) -> str:
        return str(self.shown[0].row.unit) if self.shown else "LUT"


def read_study(path: Path) -> Study:
    """Read a study by its file or its folder.

    Raises:
        InputError: it is no study, has no table yet, an artefact is damaged (the file is named), or PyArrow
            is not installed.
    """
    folder = path.with_suffix("") if path.suffix == ".toml" else path
    if not (folder / "study.json").is_file():
        raise InputError(f"{folder}: no study (it has no study.json); `hwnorm sweep {folder}.toml` makes one")
    told = StudyRecord.of_folder(folder).to_json()
    tables = {
        name: {key: value for key, value in told[name].items() if key not in _PRIVATE}
        for name in ("study", "run", "axes")
    }
    rows = _rows(folder / "results.parquet")
    trials = [Trial(row, _run(folder, row)) for row in track(rows, "trials", len(rows))]
    measured = [
        t for t in trials if t.row.state == "complete" and None not in (t.row.accuracy_bit_true, t.row.area)
    ]
    kinds = Counter((t.row.accuracy_name, t.row.unit) for t in measured)
    kind = kinds.most_common(1)[0][0] if kinds else None
    shown = [t for t in measured if (t.row.accuracy_name, t.row.unit) == kind]
    front = non_dominated((-t.accuracy, t.area, t) for t in shown if t.row.verified)
    return Study(folder.resolve().name, folder, tables, trials, shown, front)


def _rows(path: Path) -> list[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            "the report of a study needs PyArrow, which is not installed; pip install 'hwnorm[sweep]' adds it"
        ) from None
    try:
        found = parquet.read_table(path).to_pylist()
    except FileNotFoundError:
        raise InputError(f"{path}: not there; `hwnorm sweep {path.parent}.toml` makes it") from None
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({' '.join(str(error).split())})") from None
    return check_rows(found, path)


def _run(folder: Path, row: Row) -> Run | None:
    path = folder / "trials" / f"{row.trial:04d}"
    return read_run(path) if row.state == "complete" and (path / "run.json").is_file() else None
