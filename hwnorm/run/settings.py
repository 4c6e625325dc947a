"""The settings of a run, as ``run.json`` holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hwnorm.errors import InputError


class RunSettings(BaseModel):
    """What the results of a run depend on. Paths are absolute, so that a stage can run anywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = Field("builtin", description="builtin, or the name of a timm model")
    weights: Path | None = Field(None, description=".safetensors or .pth file; else the model's own weights")
    data: Path | None = Field(
        None,
        description="folder with Fashion-MNIST's idx files or one folder a class; else the shipped images",
    )
    images: int = Field(2000, ge=1, description="training images to look at, at most")
    input_bits: int = Field(16, ge=4, le=16, description="width of the kernels' input")
    output_bits: int = Field(8, ge=3, le=16, description="width of the kernels' output")
    target: str = Field("xcup", description="technology: a shipped one, or a JSON file")
    clock_mhz: float = Field(250.0, gt=0, description="clock in MHz")
    lanes: int = Field(1, ge=1, description="elements a beat of the stream")
    #: The tournament of NSGA-II wants a multiple of 4.
    population: int = Field(80, ge=8, multiple_of=4, description="individuals a generation")
    generations: int = Field(24, ge=0, description="generations after the first")
    total_lut: float | None = Field(
        None, ge=0, description="LUTs of all kernels together, at most: choose the least loss"
    )
    max_loss: float | None = Field(
        None, ge=0, description="the network's loss, at most: choose the least area; nats an image"
    )
    within: float = Field(
        0.1, ge=0, description="without either: how far above the least loss a smaller choice may be"
    )
    #: Relative to the mean diagonal of X^T X.
    ridge: float = Field(1e-3, gt=0, description="penalty on leaving the folded weights in the refit")
    seed: int = Field(0, description="of every random choice")

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.total_lut is not None and self.max_loss is not None:
            raise ValueError("give --total-lut or --max-loss, not both: each leaves the other free")
        return self


def option_name(field: str) -> str:
    """The command line's option for a field of the settings."""
    return "--" + field.removesuffix("_mhz").replace("_", "-")


def make_settings(**values: object) -> RunSettings:
    """Settings from options; those that are not given keep their default.

    Raises:
        InputError: an option is out of range; the message names it.
    """
    given = dict(values)
    for name in ("weights", "data"):
        if isinstance(given.get(name), Path):
            given[name] = Path(str(given[name])).absolute()
    if str(given.get("target", "")).endswith(".json"):
        given["target"] = str(Path(str(given["target"])).absolute())
    try:
        return RunSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise InputError(first["msg"].removeprefix("Value error, ")) from None
        option = option_name(str(first["loc"][0]))
        raise InputError(f"option {option}: {first['input']!r}; {first['msg'].lower()}") from None
