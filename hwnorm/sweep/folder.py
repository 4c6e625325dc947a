"""A study's folder: whose it is, whether today's study file goes on with it, and what has finished."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.runs.storage import masked
from hwnorm.runs.studies import StudyAxes, StudyRecord, read_row
from hwnorm.sweep.study import Parameters, Study, grid


@contextmanager
def locked(study: Study) -> Iterator[None]:
    """The study's folder for this process alone; it is made if it is not there.

    Raises:
        InputError: another process runs the study, or the folder is something else's.
    """
    folder = study.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; the study's folder was expected there")
    begun = (folder / "study.json").is_file()
    if folder.is_dir() and not begun and any(path.name[0] != "." for path in folder.iterdir()):
        raise InputError(f"{folder}: is no study's (it has no study.json); call the study file otherwise")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another process runs this study") from None
        yield


def begin(study: Study) -> tuple[bool, list[StudyAxes]]:
    """Write ``study.json``, or hold it against the study file that is to go on.

    Returns:
        Whether the study is new, and its axes as they have been one after the other, today's last.

    Raises:
        InputError: what has finished would not be of the study that the file describes now.
    """
    path = study.folder / "study.json"
    if not path.is_file():
        record = study.file.record()
        _write(study, record)
        return True, [record.axes]
    old = StudyRecord.of_folder(study.folder)
    now = study.file.record(old.earlier_axes)
    for name in ("sampler", "seed"):
        _same(study, f"study.{name}", getattr(old.study, name), getattr(now.study, name))
    was, url = old.study.storage, now.study.storage
    _same(study, "study.storage", None if was is None else masked(was), url)
    for name in old.run.keys() | now.run.keys():
        _same(study, f"run.{name}", old.run.get(name), now.run.get(name))
    _same(study, "axes", sorted(old.axes), sorted(now.axes))
    for name, values in old.axes.items():
        today = now.axes[name]
        if isinstance(values, list) and isinstance(today, list) and old.study.sampler == "grid":
            _same(study, f"axes.{name}", values, [v for v in values if v in today])
        else:
            _same(study, f"axes.{name}", values, today)
    if old.axes != now.axes:
        now = study.file.record([*old.earlier_axes, old.axes])
    if old != now:
        _write(study, now)
    return False, [*now.earlier_axes, now.axes]


def _same(study: Study, key: str, old: Any, new: Any) -> None:
    if old != new:
        raise InputError(
            f"{study.path}: {key}: {new}; the study was begun with {old}, and its trials are of that: "
            f"restore it, or call the study file otherwise (nothing in {study.folder} was touched)"
        )


def _write(study: Study, record: StudyRecord) -> None:
    record.write(study.folder / "study.json", study.file.study.seed, {})


def numbered(history: list[StudyAxes]) -> list[Parameters]:
    """A grid's trials by number: those of the first axes, then what later ones added."""
    found: dict[str, Parameters] = {}
    for axes in history:
        for parameters in grid(axes):
            found.setdefault(json.dumps(parameters, sort_keys=True), parameters)
    return list(found.values())


def finished(study: Study) -> dict[int, dict[str, Any]]:
    """The rows of the trials that have finished, by number, in order."""
    paths: list[Path] = sorted((study.folder / "trials").glob("*/result.json"))
    rows = [read_row(path) for path in paths]
    return {row["trial"]: row for row in sorted(rows, key=lambda row: int(row["trial"]))}
