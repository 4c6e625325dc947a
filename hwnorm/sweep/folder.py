"""A study's folder: whose it is, whether today's study file goes on with it, and what has finished."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.files import body, read_artefact, write_artefact
from hwnorm.sweep.study import Axes, Parameters, Study, grid, parse_study
from hwnorm.sweep.trial import read_row


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


def begin(study: Study) -> tuple[bool, list[Axes]]:
    """Write ``study.json``, or hold it against the study file that is to go on.

    Returns:
        Whether the study is new, and its axes as they have been one after the other, today's last.

    Raises:
        InputError: what has finished would not be of the study that the file describes now.
    """
    path = study.folder / "study.json"
    if not path.is_file():
        _write(study, [])
        return True, [study.file.axes]
    data = body(read_artefact(path, "study"))
    before = data.pop("earlier_axes", [])
    old = parse_study(data, path)
    earlier = [parse_study(data | {"axes": axes}, path).axes for axes in before]
    for name, field in (("sampler", "sampler"), ("seed", "seed"), ("storage", "told_storage")):
        _same(study, f"study.{name}", getattr(old.study, field), getattr(study.file.study, field))
    for name in old.run.keys() | study.file.run.keys():
        _same(study, f"run.{name}", old.run.get(name), study.file.run.get(name))
    _same(study, "axes", sorted(old.axes), sorted(study.file.axes))
    for name, values in old.axes.items():
        now = study.file.axes[name]
        if isinstance(values, list) and isinstance(now, list) and old.study.sampler == "grid":
            _same(study, f"axes.{name}", values, [v for v in values if v in now])
        else:
            _same(study, f"axes.{name}", values, now)
    if old.axes != study.file.axes:
        earlier.append(old.axes)
    if old.model_dump(mode="json") != study.file.told():
        _write(study, earlier)
    return False, [*earlier, study.file.axes]


def _same(study: Study, key: str, old: Any, new: Any) -> None:
    if old != new:
        raise InputError(
            f"{study.path}: {key}: {new}; the study was begun with {old}, and its trials are of that: "
            f"restore it, or call the study file otherwise (nothing in {study.folder} was touched)"
        )


def _write(study: Study, earlier: list[Axes]) -> None:
    dumped = study.file.told()
    if earlier:
        files = [study.file.model_copy(update={"axes": axes}) for axes in earlier]
        dumped["earlier_axes"] = [file.model_dump(mode="json")["axes"] for file in files]
    write_artefact(study.folder / "study.json", "study", study.file.study.seed, {}, dumped)


def numbered(history: list[Axes]) -> list[Parameters]:
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
