"""The study file: what is run, over which values, and what a trial's settings are."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnorm.errors import InputError
from hwnorm.files import read_toml
from hwnorm.runs.settings import PATHS, RunSettings, make_settings, of_table, option_name
from hwnorm.runs.storage import masked, shown
from hwnorm.runs.studies import SETTINGS, StudyAxes, StudyHead, StudyRange, StudyRecord, Value
from hwnorm.targets.target import load_target

#: What one trial has of each axis.
Parameters: TypeAlias = Mapping[str, Value]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Head(StudyHead):
    """How the study goes over its axes."""

    sampler: Literal["grid", "random", "nsga2", "tpe"] = "grid"
    trials: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)
    #: It may hold a password: what may be shown and written is in :meth:`StudyFile.record`.
    storage: str | None = Field(None, repr=False)


class Range(StudyRange):
    """Numbers from ``low`` to ``high``, for a sampler."""

    log: bool = False


#: What is varied: a list of values, or for a sampler a range.
Axes: TypeAlias = dict[str, list[Value] | Range]


class StudyFile(_Strict):
    """The file's tables."""

    study: Head = Field(default_factory=lambda: Head.model_validate({}))
    run: dict[str, bool | int | float | str] = {}
    axes: Axes = Field(min_length=1)

    def record(self, earlier: Sequence[StudyAxes] = ()) -> StudyRecord:
        """What ``study.json`` tells: the storage's address is masked."""
        told = self.model_dump(mode="json")
        if self.study.storage is not None:
            told["study"]["storage"] = masked(self.study.storage)
        record = StudyRecord.model_validate(told)
        return record.model_copy(update={"earlier_axes": list(earlier)})


@dataclass(frozen=True)
class Study:
    """A study file that was read; its folder lies beside it."""

    path: Path
    file: StudyFile

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def folder(self) -> Path:
        """Where everything of the study lies."""
        return self.path.with_suffix("")

    @property
    def results(self) -> Path:
        return self.folder / "results.parquet"

    @property
    def store(self) -> Path:
        """Artefacts that trials share."""
        return self.folder / "store"

    def trial(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / "trials" / f"{number:04d}"

    @property
    def columns(self) -> list[str]:
        """The settings that vary, by their names in the file, in its order."""
        found: dict[str, None] = {}
        for name, values in self.file.axes.items():
            tables = [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []
            found |= dict.fromkeys(name for table in tables for name in table) if tables else {name: None}
        return list(found)

    def given(self, parameters: Parameters) -> dict[str, Any]:
        """The settings that a trial's parameters are, by their names in the file."""
        found: dict[str, Any] = {}
        for name, value in parameters.items():
            found |= value if isinstance(value, dict) else {name: value}
        return found

    def settings(self, parameters: Parameters) -> RunSettings:
        """The settings of a trial.

        Raises:
            InputError: an option is out of range; the message names it.
        """
        given = dict(self.file.run) | self.given(parameters)
        return make_settings(**of_table(given, SETTINGS, self.path.parent), quantize=False)

    def row(self, parameters: Parameters) -> dict[str, Any]:
        """The columns of a trial's settings; paths as the file has them."""
        given, settings = self.given(parameters), self.settings(parameters)
        found = {}
        for name in self.columns:
            value = getattr(settings, SETTINGS[name])
            found[name] = (
                given.get(name, self.file.run.get(name)) if isinstance(value, Path) else _plain(value)
            )
        return found


def grid(axes: Mapping[str, list[Value] | StudyRange]) -> Iterator[dict[str, Value]]:
    """Every combination of a grid's values, the last axis fastest."""
    for values in itertools.product(*(v for v in axes.values() if isinstance(v, list))):
        yield dict(zip(axes, values, strict=True))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value  # an Enum's value


def read_study(path: Path) -> Study:
    """Read a study file and check that every value of its axes can be run.

    Raises:
        InputError: it is missing, is not TOML, or something in it is wrong; the message names file and key,
            what was found and what would be right.
    """
    data = read_toml(path, "a study file was expected (docs/sweeps.md)")
    if path.suffix != ".toml":
        raise InputError(f"{path}: a study file is called NAME.toml; its folder is NAME")
    study = Study(path, parse_study(data, path))
    _check(study)
    return study


def parse_study(data: dict[str, Any], path: Path) -> StudyFile:
    """The tables of a study file.

    Raises:
        InputError: as :func:`read_study`; ``path`` is named.
    """
    try:
        return StudyFile.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{path}: {_message(error, data)}") from None


def _message(error: ValidationError, data: dict[str, Any]) -> str:
    """The first error as key, what was found, what would be right."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        known: Any = Head.model_fields if where[1:] else StudyFile.model_fields
        return f"{'.'.join(where)}: not known; {_near(where[-1], known)}"
    # Of a union pydantic names each member that does not fit; the key ends before that.
    depth, found = 0, data
    while depth < len(where) and isinstance(found, dict) and where[depth] in found:
        found, depth = found[where[depth]], depth + 1
    found = shown(found)
    what = first["msg"].removeprefix("Value error, ")
    if where[0] in ("axes", "run") and depth == 2:
        told = [
            e["msg"] for e in error.errors() if e["type"] == "value_error" and list(e["loc"][:2]) == where[:2]
        ]
        right = "a list of values, or { low = .., high = .. }" if where[0] == "axes" else "a value"
        what = told[0].removeprefix("Value error, ") if told else f"{right} was expected"
        return f"{'.'.join(where[:2])}: {found!r}; {what}"
    if first["type"] == "missing":
        return f"{'.'.join(where)}: not there; this table is needed"
    return f"{'.'.join(where)}: {found!r}; {what[0].lower()}{what[1:]}" if where else what


def _near(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=3)
    return f"closest: {', '.join(close)}" if close else f"there are {', '.join(known)}"


def _check(study: Study) -> None:
    """Names of settings, and that the values of each axis are settings that a run can have."""
    axes = study.file.axes
    for key, values in axes.items():
        if not isinstance(values, list):
            if study.file.study.sampler == "grid":
                raise InputError(f"{study.path}: axes.{key}: a range; a grid needs a list of values")
            _known(study, "axes", key)
            if values.log and (step := step_of(key)) > 1:
                raise InputError(
                    f"{study.path}: axes.{key}: multiples of {step} cannot be drawn with log; leave it out"
                )
            continue
        if not values:
            raise InputError(f"{study.path}: axes.{key}: []; at least one value is needed")
        told = [json.dumps(value, sort_keys=True) for value in values]
        twice = [text for text in told if told.count(text) > 1]
        if twice:
            raise InputError(f"{study.path}: axes.{key}: {shown(twice[0])} is there twice; once was expected")
        if len({isinstance(value, dict) for value in values}) > 1:
            raise InputError(f"{study.path}: axes.{key}: tables beside single values; one kind was expected")
        for value in values:
            for name in value if isinstance(value, dict) else [key]:
                _known(study, "axes", name)
    for name in study.file.run:
        _known(study, "run", name)
    owners = dict.fromkeys(study.file.run, "run")
    for key, values in axes.items():
        names = {n for v in values if isinstance(v, dict) for n in v} if isinstance(values, list) else set()
        for name in names or {key}:
            if name in owners:
                at = f"{owners[name]} and axes.{key}"
                raise InputError(f"{study.path}: {name}: set in {at}; once was expected")
            owners[name] = f"axes.{key}"
    _try(study, "run", {})
    starts = {key: _first(values) for key, values in axes.items()}
    for key, values in axes.items():
        tried: list[Value] = values if isinstance(values, list) else [values.low, values.high]
        for value in tried:
            _try(study, f"axes.{key}", starts | {key: value})
    if study.file.study.sampler == "grid":
        for parameters in grid(axes):
            _try(study, f"axes, {json.dumps(parameters)}", parameters)


def step_of(name: str) -> int:
    """What the values of a setting, by its name in the file, are multiples of."""
    rules = RunSettings.model_fields[SETTINGS[name]].metadata
    return int(next((rule.multiple_of for rule in rules if hasattr(rule, "multiple_of")), 1))


def _first(values: list[Value] | Range) -> Value:
    return values[0] if isinstance(values, list) else values.low


def _try(study: Study, key: str, parameters: Parameters) -> None:
    """Complain, of ``key``, if a run cannot have these settings."""
    try:
        settings = study.settings(parameters)
        load_target(settings.target, settings.cost_weights)
        for name in PATHS:
            path = getattr(settings, name)
            if path is not None and not path.exists():
                raise InputError(f"option {option_name(name)}: {path}: not there")
    except InputError as error:
        raise InputError(f"{study.path}: {key}: {str(error).removeprefix('option --')}") from None


def _known(study: Study, table: str, name: str) -> None:
    if name not in SETTINGS:
        raise InputError(f"{study.path}: {table}.{name}: no setting of a run; {_near(name, SETTINGS)}")
