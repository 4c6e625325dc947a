"""The file of a search, ``NAME.toml``: what is elastic, how it is searched, the run that it begins with."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnorm.builtin import model as builtin
from hwnorm.engine.devices import budget_of
from hwnorm.engine.resources import Resources
from hwnorm.engine.space import most_cycles
from hwnorm.errors import InputError
from hwnorm.files import read_toml
from hwnorm.nas.presets import PRESETS
from hwnorm.runs.settings import Norms, RunSettings, make_settings, of_table, option_name
from hwnorm.supernet.search import Method
from hwnorm.supernet.stored import RECORD, SUBNET
from hwnorm.supernet.train import Recipe

#: Names of a run's settings in the file, which are its long options' -> fields.
SETTINGS = {option_name(field)[2:].replace("-", "_"): field for field in RunSettings.model_fields}
#: The axes of a space.
AXES = ("width", "depth", "heads", "mlp", "ratio8")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class SpaceTable(_Table):
    """``[space]``: a preset, and axes in its place; each a list of values.

    ``supernet`` is the folder of a trained one; ``builtin`` the built-in network's that is shipped.
    """

    preset: str | None = None
    supernet: str | None = None
    width: list[int] | None = Field(None, min_length=1)
    depth: list[int] | None = Field(None, min_length=1)
    heads: list[int] | None = Field(None, min_length=1)
    mlp: list[float] | None = Field(None, min_length=1)
    ratio8: list[float] | None = Field(None, min_length=1)


class SearchTable(_Table):
    """``[search]``.

    Attributes:
        methods: searches, one after the other, each of its own.
        subnets: that each of them scores, at most.
        population: of a generation.
        fit, held: training images that a subnet is fitted to, and others to measure its loss on.
        measured: points of the front that are built in integers and measured.
        epochs: of fine-tuning each of them first, by labels and the original's logits; 0: none.
    """

    methods: list[Method] = Field(["nsga2"], min_length=1)
    subnets: int = Field(320, ge=4)
    population: int = Field(32, ge=4, multiple_of=4)
    seed: int = Field(0, ge=0)
    fit: int = Field(256, ge=16)
    held: int = Field(1536, ge=16)
    measured: int = Field(8, ge=1)
    epochs: int = Field(0, ge=0)


class TrainTable(_Table):
    """``[train]``: of :class:`hwnorm.supernet.train.Recipe`."""

    epochs: int = Field(Recipe.epochs, ge=1)
    batch: int = Field(Recipe.batch, ge=1)
    learning_rate: float = Field(Recipe.learning_rate, gt=0)
    random: int = Field(Recipe.random, ge=0)
    distillation: bool = Recipe.distillation
    layer_scaling: bool = Recipe.layer_scaling


class EngineTable(_Table):
    """``[engine]``: what the engine of a subnet may take, and the images a second that are wanted."""

    budget: str = "dsp=200"
    fps: float | None = Field(None, gt=0)


class SpaceFile(_Table):
    """The file's tables."""

    space: SpaceTable
    search: SearchTable = Field(default_factory=lambda: SearchTable.model_validate({}))
    engine: EngineTable = Field(default_factory=lambda: EngineTable.model_validate({}))
    train: TrainTable = Field(default_factory=lambda: TrainTable.model_validate({}))
    run: dict[str, bool | int | float | str] = {}


@dataclass(frozen=True)
class NasStudy:
    """A space file that was read; its folder lies beside it."""

    path: Path
    file: SpaceFile
    settings: RunSettings

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def folder(self) -> Path:
        return self.path.with_suffix("")

    @property
    def own_supernet(self) -> Path:
        """Where a supernet that is trained for the study lies."""
        return self.folder / "trained"

    @property
    def supernet(self) -> Path | None:
        """The folder of the trained supernet that subnets are of; None: they are fitted in closed form."""
        named = self.file.space.supernet
        if named is not None:
            return builtin.SUPERNET if named == builtin.NAME else self.path.parent / named
        return self.own_supernet if (self.own_supernet / RECORD).is_file() else None

    def base(self, supernet: Path | None) -> Path:
        """The run folder of the whole network, as it is re-aligned or as it was trained."""
        return self.folder / ("base" if supernet is None else "base_trained")

    def base_settings(self, supernet: Path | None) -> RunSettings:
        """Of that run."""
        settings = self.settings.model_copy(update={"quantize": True})
        return settings if supernet is None else as_it_stands(settings, supernet / SUBNET)

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The values of each axis: those of the file, else of its preset."""
        table = self.file.space
        preset = PRESETS[table.preset] if table.preset is not None else {}
        return {name: sorted(getattr(table, name) or preset[name]) for name in AXES}

    @property
    def most(self) -> Resources:
        """The most that an engine may take."""
        return budget_of(self.file.engine.budget, self.settings.target)

    @property
    def cycles(self) -> int | None:
        """The most cycles an image, where images a second are wanted."""
        fps = self.file.engine.fps
        return None if fps is None else most_cycles(self.settings.clock_mhz, fps)


def as_it_stands(settings: RunSettings, subnet: Path) -> RunSettings:
    """The settings of a run that takes a subnet's file with what is in the places of its norms."""
    own = {"model": str(subnet.absolute()), "model_args": "", "weights": None, "image_size": None}
    return settings.model_copy(update={**own, "norms": Norms.LAYERNORM, "keep_norms": "", "quantize": True})


def is_space_file(path: Path) -> bool:
    """Whether a file, or the folder beside it, is of a search among subnets."""
    path = path if path.suffix == ".toml" else path.with_suffix(".toml")
    try:
        return "space" in read_toml(path, "")
    except InputError:
        return False


def read_space(path: Path) -> NasStudy:
    """Read and check a space file.

    Raises:
        InputError: it is missing, is not TOML, or something in it is wrong; the message names file and key,
            what was found and what would be right.
    """
    path = path if path.suffix == ".toml" else path.with_suffix(".toml")
    data = read_toml(path, "a space file was expected (docs/nas.md)")
    try:
        file = SpaceFile.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{path}: {_message(error)}") from None
    table = file.space
    if table.preset is not None and table.preset not in PRESETS:
        raise InputError(f"{path}: space.preset: {table.preset!r}; there are {', '.join(PRESETS)}")
    for name in AXES:
        values = getattr(table, name)
        if values is None and table.preset is None:
            raise InputError(f"{path}: space.{name}: not there; a list of values, or space.preset, is needed")
        if values is not None:
            _check_axis(path, name, values)
    study = NasStudy(path, file, _settings(path, file))
    if study.supernet is not None and not (study.supernet / RECORD).is_file():
        raise InputError(
            f"{path}: space.supernet: {table.supernet!r} has no {RECORD}; the folder of a trained "
            "supernet was expected"
        )
    try:
        _ = study.most
    except InputError as error:
        raise InputError(f"{path}: engine.budget: {str(error).removeprefix('option --budget: ')}") from None
    return study


def _check_axis(path: Path, name: str, values: list[Any]) -> None:
    where = f"{path}: space.{name}: {values}"
    if len(set(values)) < len(values):
        raise InputError(f"{where}: a value is there twice; once was expected")
    if name == "ratio8":
        if not all(0 <= value <= 1 for value in values):
            raise InputError(f"{where}: shares from 0 to 1 were expected")
    elif not all(value > 0 for value in values):
        raise InputError(f"{where}: numbers above 0 were expected")


def _settings(path: Path, file: SpaceFile) -> RunSettings:
    for name in file.run:
        if name not in SETTINGS:
            close = difflib.get_close_matches(name, list(SETTINGS), n=3)
            hint = f"closest: {', '.join(close)}" if close else f"there are {', '.join(SETTINGS)}"
            raise InputError(f"{path}: run.{name}: no setting of a run; {hint}")
    try:
        return make_settings(**of_table(file.run, SETTINGS, path.parent))
    except InputError as error:
        raise InputError(f"{path}: run: {str(error).removeprefix('option --')}") from None


def _message(error: ValidationError) -> str:
    """The first error as key, what was found, what would be right."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
    if first["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {"space": SpaceTable, "search": SearchTable}
        tables |= {"engine": EngineTable, "train": TrainTable}
        table = tables.get(str(first["loc"][0]), SpaceFile)
        return f"{where}: not known; there are {', '.join(table.model_fields)}"
    if first["type"] == "missing":
        return f"{where}: not there; this table is needed"
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {first['input']!r}; {what[0].lower()}{what[1:]}"
