"""The files that a sweep writes, each one type: its study, a trial's result, a front, a picked point.

They lie here, below both the sweep that writes them and the page of a study that reads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError, WrapValidator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from hwnorm.artefact import Artefact, InsideName, Part, first_fault
from hwnorm.errors import InputError
from hwnorm.files import body, read_artefact
from hwnorm.runs.settings import RunSettings, make_settings, option_name
from hwnorm.runs.storage import shown

#: Fields of RunSettings that say how a network becomes integers alone: a trial measures none.
_INTEGERS = {"quantize", *make_settings().quantizing} - {"clock_mhz"}
#: Name in a study file, which is the long option's -> field of RunSettings.
SETTINGS = {
    option_name(field)[2:].replace("-", "_"): field
    for field in RunSettings.model_fields
    if field not in _INTEGERS
}

#: A value of an axis: of the setting that it is named after, or a table of settings that vary together.
Value: TypeAlias = bool | int | float | str | dict[str, bool | int | float | str]


# --- study.json ----------------------------------------------------------------------------------------


class StudyHead(Part):
    """How a study goes over its axes; the storage's address as it may be told."""

    model_config = ConfigDict(strict=True)

    sampler: Literal["grid", "random", "nsga2", "tpe"]
    trials: int | None = Field(ge=1)
    seed: int = Field(ge=0)
    storage: str | None = Field(repr=False)

    @model_validator(mode="after")
    def _trials(self) -> Self:
        if (self.sampler == "grid") != (self.trials is None):
            wants = "a grid has as many as there are combinations" if self.trials else "a sampler needs them"
            raise ValueError(f"trials is {self.trials} with the sampler {self.sampler!r}; {wants}")
        return self


class StudyRange(Part):
    """Numbers from ``low`` to ``high``, for a sampler."""

    model_config = ConfigDict(strict=True)

    low: int | float
    high: int | float
    log: bool

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low {self.low}, high {self.high}: low must be the lower, above 0 with log")
        return self


def _one(value: Any, check: Any) -> Any:
    """One message for all members of a union."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError("truth, a number, text or a table of them was expected") from None


_Value: TypeAlias = Annotated[Value, WrapValidator(_one)]
_Setting: TypeAlias = Annotated[bool | int | float | str, WrapValidator(_one)]
_Axis: TypeAlias = Annotated[
    Annotated[list[_Value], Field(min_length=1), Tag("values")] | Annotated[StudyRange, Tag("range")],
    Discriminator(lambda found: "values" if isinstance(found, list) else "range"),
]
#: What is varied, as ``study.json`` holds it: by the name of an axis its values, or for a sampler a range.
StudyAxes: TypeAlias = Annotated[dict[str, _Axis], Field(min_length=1)]


class StudyRecord(Artefact):
    """``study.json``: the study file's tables as they are now, and the axes as they were before."""

    KIND: ClassVar[str] = "study"
    model_config = ConfigDict(strict=True)

    study: StudyHead
    run: dict[str, _Setting]
    axes: StudyAxes
    #: Of a grid that was extended; absent where there are none.
    earlier_axes: list[StudyAxes] = Field(default_factory=list)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """That of a study's folder.

        Raises:
            InputError: it is missing or damaged.
        """
        return cls.read(
            folder / "study.json", f"restore it, or remove {folder}: `hwnorm sweep {folder}.toml` begins anew"
        )

    @classmethod
    def of(cls, data: dict[str, Any], path: Path, renew: str = "restore it") -> Self:
        """As :meth:`Artefact.of`; a message shows no password, which an earlier version may have written."""
        try:
            return cls.model_validate(data)
        except ValidationError:
            return super().of(shown(data), path, renew)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, without ``earlier_axes`` where there are none."""
        return {name: value for name, value in super().to_json().items() if value or name != "earlier_axes"}


# --- rows ----------------------------------------------------------------------------------------------


def plain_type(annotation: Any) -> type:
    """The type of a column that holds values of a field."""
    members = get_args(annotation) or (annotation,)
    return next((kind for kind in (bool, int, float) if kind in members), str)


def setting_type(name: str) -> type:
    """The type of a setting's column, by its name in a study file."""
    return plain_type(RunSettings.model_fields[SETTINGS[name]].annotation)


class Measured(Part):
    """What a trial measured; all of it is None where the trial failed."""

    accuracy_name: Literal["top-1", "cosine"] | None
    accuracy_layernorm: float | None
    accuracy_float: float | None
    accuracy_bit_true: float | None
    test_images: int | None
    test_fingerprint: str | None
    area: float | None
    unit: str | None
    lut: int | None
    ff: int | None
    dsp: int | None
    bram: int | None
    latency: int | None
    fmax_mhz: float | None
    kernels: int | None
    folded: int | None
    verified: bool | None


#: Columns of what a trial measured, and their types.
MEASURED: dict[str, type] = {
    name: plain_type(field.annotation) for name, field in Measured.model_fields.items()
}
#: What a front needs of a complete trial.
_NEEDED = ("accuracy_name", "accuracy_bit_true", "area", "unit", "verified")
_EXPECTED = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


class _Columns(Measured):
    """A trial's row but for what a file's head tells; the settings that vary come beside these fields."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool | int | float | str | None]

    trial: int = Field(ge=0)
    state: Literal["complete", "failed"]
    error: str | None
    torch_version: str
    seconds: float | None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, value in self.parameters.items():
            if name not in SETTINGS:
                raise _fault(name, value, "no column of a row, nor a setting of a run")
            kind = setting_type(name)
            fits = type(value) in ((int, float) if kind is float else (kind,))
            if value is not None and not fits:
                raise _fault(name, value, f"{_EXPECTED[kind]} was expected")
        if self.state == "complete":
            for name in _NEEDED:
                if getattr(self, name) is None:
                    raise _fault(name, None, "a complete trial has measured it")
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """The settings that vary, in the order of the study file."""
        return dict(self.model_extra or {})


def _fault(name: str, value: Any, said: str) -> ValidationError:
    why = PydanticCustomError("column", "{said}", {"said": said})
    told = InitErrorDetails(type=why, loc=(name,), input=value)
    return ValidationError.from_exception_data("row", [told])


class Row(_Columns):
    """A row of a study's table (``docs/sweeps.md``)."""

    hwnorm_version: str


def check_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> list[Row]:
    """The rows of a study's table, in which what is not a number is None.

    Raises:
        InputError: a column is missing or not known, or holds something else than it should.
    """
    try:
        return [Row.model_validate({name: _known(value) for name, value in row.items()}) for row in rows]
    except ValidationError as error:
        raise InputError(f"{path}: column {first_fault(error)} (docs/sweeps.md)") from None


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


class Result(_Columns, Artefact):
    """``result.json``: a finished trial's row; the head has its version of hwnorm and its seed."""

    KIND: ClassVar[str] = "result"
    model_config = ConfigDict(extra="allow")


def read_row(path: Path) -> dict[str, Any]:
    """The row in a ``result.json``, with ``seed`` whether that varies or not.

    Raises:
        InputError: it is missing or damaged.
    """
    data = read_artefact(path, Result.KIND)
    renew = f"remove it, and `hwnorm sweep {path.parents[2]}.toml` runs the trial again"
    told = Result.of(body(data), path, renew).to_json()
    return told | {name: data[name] for name in ("hwnorm_version", "seed")}


# --- the front and its points --------------------------------------------------------------------------


class FrontHead(Part):
    """What is said of a whole front: see :class:`hwnorm.sweep.pareto.ParetoFront`."""

    accuracy_name: Literal["top-1", "cosine"]
    unit: str
    considered: int
    largest_area: float
    hypervolume: float


class StudyRow(Row):
    """A row, and the name of its study."""

    study: str


class FrontPoint(StudyRow):
    """A row on a front, its number, and whether it is the knee."""

    point: int = Field(ge=1)
    knee: bool


class FrontFile(Artefact):
    """What ``hwnorm pareto --json`` writes: fronts, and the points of all of them one after the other."""

    KIND: ClassVar[str] = "pareto"

    fronts: tuple[FrontHead, ...]
    points: tuple[FrontPoint, ...]


class PickedPoint(Artefact):
    """``manifest.json`` of an emitted point: its row, its kernels' names, every file's SHA-256."""

    KIND: ClassVar[str] = "point"

    row: StudyRow
    kernels: tuple[str, ...]
    files: dict[InsideName, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
