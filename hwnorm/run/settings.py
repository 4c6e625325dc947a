"""The settings of a run, as ``run.json`` holds them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnorm.errors import InputError


class RunSettings(BaseModel):
    """What the results of a run depend on. Paths are absolute, so that a stage can run anywhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    #: ``builtin``, or the name of a timm model.
    model: str = "builtin"
    #: Weights to load; None for the model's own.
    weights: Path | None = None
    #: Folder of images; None for those that are shipped.
    data: Path | None = None
    #: Training images that capture and re-alignment look at, at most.
    images: int = Field(2000, ge=1)
    input_bits: int = Field(16, ge=4, le=16)
    output_bits: int = Field(8, ge=3, le=16)
    #: Name of a shipped target, or the path of a JSON file.
    target: str = "xcup"
    clock_mhz: float = Field(250.0, gt=0)
    lanes: int = Field(1, ge=1)
    #: Individuals a generation; the tournament of NSGA-II wants a multiple of 4.
    population: int = Field(80, ge=8, multiple_of=4)
    generations: int = Field(24, ge=0)
    #: How far below its ceiling a layer's R2 may be for a cheaper function.
    within: float = Field(0.001, ge=0, le=1)
    #: Penalty on leaving the folded weights in the refit, relative to the mean diagonal of X^T X.
    ridge: float = Field(1e-3, gt=0)
    seed: int = 0


def make_settings(**values: object) -> RunSettings:
    """Settings from options; those that are None keep their default.

    Raises:
        InputError: an option is out of range; the message names it.
    """
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("weights", "data"):
        if isinstance(given.get(name), Path):
            given[name] = Path(str(given[name])).absolute()
    if str(given.get("target", "")).endswith(".json"):
        given["target"] = str(Path(str(given["target"])).absolute())
    try:
        return RunSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).removesuffix("_mhz").replace("_", "-")
        raise InputError(f"option --{option}: {first['input']!r}; {first['msg'].lower()}") from None
