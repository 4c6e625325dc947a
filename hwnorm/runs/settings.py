"""The settings of a run, as ``run.json`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.fixed import check_lanes
from hwnorm.targets.target import Target, load_target


class Finetune(StrEnum):
    """How the network is trained, if at all (:data:`hwnorm.realign.finetune.Method`)."""

    NONE = "none"
    A = "A"
    F = "F"
    D = "D"
    FEATURES = "features"


class Norms(StrEnum):
    """What stands in the places of norms in the integer network."""

    FUNCTIONS = "functions"
    LAYERNORM = "layernorm"


class RunSettings(BaseModel):
    """What the results of a run depend on. Paths are absolute, so that a stage can run anywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field("builtin", description="builtin, the name of a timm model, or hf-hub:NAME")
    model_args: str = Field(
        "", description="arguments of timm's for the model, such as patch_size=4,in_chans=1"
    )
    weights: Path | None = Field(
        None, description=".safetensors file, or .pth, .pt, .bin or .ckpt; else the model's own weights"
    )
    data: Path | None = Field(
        None,
        description="folder of idx files, folder tree with one folder a class, or .npz; else what is shipped",
    )
    classes: Path | None = Field(
        None,
        description="file with the names of a folder tree's classes in the order of the model's outputs, one "
        "a line, or a JSON of name to index; else timm's order",
    )
    image_size: int | None = Field(
        None, ge=8, description="side of the images in pixels; else the weights' own"
    )
    only: str = Field(
        "", description="norms to replace: names or patterns such as 'blocks.*.norm1', by commas"
    )
    skip: str = Field("", description="norms to leave as they are, in the same form")
    images: int = Field(2000, ge=1, description="training images to look at, at most")
    input_bits: int = Field(16, ge=4, le=16, description="width of the kernels' input")
    output_bits: int = Field(8, ge=3, le=16, description="width of the kernels' output")
    target: str = Field("xcup", description="technology: a shipped one, or a JSON file")
    cost_weights: str = Field(
        "", description="weights of the cost, such as lut=1,dsp=50; else the target's own"
    )
    clock_mhz: float = Field(250.0, gt=0, description="clock in MHz; else the target's own")
    lanes: int = Field(1, ge=1, description="elements a beat of the stream")
    #: The tournament of NSGA-II wants a multiple of 4.
    population: int = Field(64, ge=8, multiple_of=4, description="individuals a generation")
    generations: int = Field(8, ge=0, description="generations after the first")
    restarts: int = Field(1, ge=1, description="searches of each layer, each with a random stream of its own")
    max_lut: int | None = Field(None, ge=1, description="LUTs that a kernel may take at most")
    max_latency: int | None = Field(None, ge=1, description="cycles that a kernel may take at most")
    no_dsp: bool = Field(False, description="kernels without DSP blocks alone")
    operators: str | None = Field(
        None, description="operators that functions may use beside gain and offset, such as add,clip,tanh"
    )
    warm_start: Path | None = Field(
        None, description="earlier run folder, whose functions are seeds of the search"
    )
    total_area: float | None = Field(
        None,
        ge=0,
        description="area of all kernels together, at most, in the target's unit: choose the least loss",
    )
    max_loss: float | None = Field(
        None, ge=0, description="the network's loss, at most: choose the least area; nats an image"
    )
    within: float = Field(
        0.03, ge=0, description="without either: how far above the least loss a smaller choice may be"
    )
    finetune: Finetune = Field(
        Finetune.NONE,
        description="train after the closed form: A weight and bias at the norms, F all weights, D with the "
        "teacher's logits, features without labels",
    )
    epochs: int = Field(3, ge=1, description="of fine-tuning, at most")
    learning_rate: float = Field(2e-4, gt=0, description="of fine-tuning, at its highest")
    hardware_in_loop: bool = Field(
        False,
        description="fine-tune through all integers; with --no-quantize through the bit-true functions alone",
    )
    quantize: bool = Field(True, description="make integers of the whole network")
    ratio8: float = Field(0.25, ge=0, le=1, description="share of the weights with 8 bits; the others have 4")
    per_layer: bool = Field(
        False, description="the same share of 8-bit rows in each layer, not where it helps the network most"
    )
    row_step: int = Field(4, ge=1, description="8-bit rows of a layer come in multiples of it")
    activation_bits: int = Field(
        8, ge=4, le=8, description="of what linear layers and attention products read"
    )
    norms: Norms = Field(
        Norms.FUNCTIONS, description="of the integer network: functions, or layernorm everywhere"
    )
    keep_norms: str = Field(
        "", description="norms that stay LayerNorm in the integer network: names or patterns, by commas"
    )
    seed: int = Field(0, ge=0, lt=1 << 32, description="of every random choice")

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, given: Any) -> Any:
        """pydantic would take true for 1."""
        for name, value in given.items() if isinstance(given, dict) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field is not None and field.annotation is not bool:
                raise ValueError(f"option {option_name(name)}: {value}; it is no switch: give it a value")
        return given

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.total_area is not None and self.max_loss is not None:
            raise ValueError("give --total-area or --max-loss, not both: each leaves the other free")
        return self

    @model_validator(mode="after")
    def _beat(self) -> Self:
        try:
            check_lanes(self.lanes, self.input_bits, self.output_bits)
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if self._trains_integers and self.finetune in (Finetune.A, Finetune.FEATURES):
            raise ValueError(
                f"option --finetune {self.finetune}: trains no network of integers; with --hardware-in-loop "
                "give D or F, or --no-quantize"
            )
        return self

    @property
    def _trains_integers(self) -> bool:
        return self.hardware_in_loop and self.quantize and self.finetune is not Finetune.NONE

    @property
    def searched(self) -> dict[str, object]:
        """What a layer's search depends on."""
        names = (
            *("input_bits", "output_bits", "clock_mhz", "population", "generations", "restarts"),
            *("max_lut", "max_latency", "no_dsp", "operators", "seed"),
        )
        return {name: getattr(self, name) for name in names}

    @property
    def quantizing(self) -> dict[str, object]:
        """How the network becomes integers."""
        names = ("ratio8", "per_layer", "row_step", "activation_bits", "norms", "keep_norms", "clock_mhz")
        return {name: getattr(self, name) for name in names}

    @property
    def finetuning(self) -> dict[str, object] | None:
        """How re-alignment's network is trained; None where it is not."""
        trained = self.finetune is not Finetune.NONE and not self._trains_integers
        names = ("finetune", "epochs", "learning_rate", "hardware_in_loop", "seed")
        return {name: getattr(self, name) for name in names} if trained else None

    @property
    def finetuning_integers(self) -> dict[str, object] | None:
        """How the integer network is trained; None where it is not."""
        names = ("finetune", "epochs", "learning_rate", "seed")
        return {name: getattr(self, name) for name in names} if self._trains_integers else None


def target_of(settings: RunSettings) -> Target:
    """The technology of a run, with the weights that it was given.

    Raises:
        InputError: there is none of that name, or its file is damaged.
    """
    return load_target(settings.target, settings.cost_weights)


def target_digest(settings: RunSettings) -> str:
    """Hash of all that the target's file says, with the run's weights."""
    return digest(target_of(settings).model_dump(mode="json"))


#: Settings that are paths.
PATHS = ("weights", "data", "classes", "warm_start")


def option_name(field: str) -> str:
    """The command line's option for a field of the settings."""
    return "--" + field.removesuffix("_mhz").replace("_", "-")


def patterns(text: str) -> list[str]:
    """The parts of a setting that lists names by commas."""
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def of_table(table: Mapping[str, Any], names: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """What :func:`make_settings` takes, of a file's table.

    Args:
        table: settings by their names in the file.
        names: the field that each of these is.
        folder: of the file; paths are relative to it.
    """
    values = {names[name]: value for name, value in table.items()}
    for field in PATHS:
        if field in values:
            values[field] = folder / str(values[field])
    if str(values.get("target", "")).endswith(".json"):
        values["target"] = str(folder / values["target"])
    return values


def make_settings(**values: object) -> RunSettings:
    """Settings from options; those that are not given keep their default, and the clock is the target's.

    Raises:
        InputError: an option is out of range or a weight is none; the message names it.
    """
    given = dict(values)
    for name in PATHS:
        if given.get(name) is not None:
            given[name] = Path(str(given[name])).absolute()
    if str(given.get("target", "")).endswith(".json"):
        given["target"] = str(Path(str(given["target"])).absolute())
    target = str(given.get("target", RunSettings.model_fields["target"].default))
    if given.get("cost_weights"):
        load_target(target, str(given["cost_weights"]))
    if given.get("clock_mhz") is None:
        given.pop("clock_mhz", None)
        with suppress(InputError):  # a target that is none is told of by the first stage that asks it
            given["clock_mhz"] = load_target(target).clock_mhz
    try:
        return RunSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise InputError(first["msg"].removeprefix("Value error, ")) from None
        option = option_name(str(first["loc"][0]))
        raise InputError(f"option {option}: {first['input']!r}; {first['msg'].lower()}") from None
