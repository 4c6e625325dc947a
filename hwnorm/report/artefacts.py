"""What a run folder holds, read for the report; a part that is not there yet is None."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from hwnorm.cost.cost import Resources
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import from_json
from hwnorm.errors import InputError
from hwnorm.files import HEAD, read_artefact
from hwnorm.profile import LayerProfile
from hwnorm.targets.target import Target, load_target

T = TypeVar("T")

#: What of ``realign.json`` is too long for a line of the page.
_DETAILS = ("top1", "scores", "affines", "fits", "epochs")


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class FrontPoint(_Shape):
    """One function of a front: its family, its cost in LUT-equivalents and its R2."""

    family: str
    cost: float
    r2: float


class Front(_Shape):
    """The non-dominated functions of a layer, of the formats ``input`` and ``output``."""

    input: str
    output: str
    ceiling_r2: float
    points: tuple[FrontPoint, ...]


class Chosen(_Shape):
    """The function of one layer, and its hardware."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    layer: str
    top: str
    expression: str
    family: str
    r2: float
    ceiling_r2: float
    resources: Resources
    #: None where the function folds into the next linear layers: nothing is built.
    datapath: Datapath | None


class ChoicePoint(_Shape):
    """One choice for the whole network: the area of its kernels, and what the network loses."""

    area: float
    predicted_loss: float
    measured_loss: float | None
    agreement: float | None


class Choices(_Shape):
    """The front of choices; ``loss`` says what is measured, ``images`` on how many."""

    loss: str
    images: int
    front: tuple[ChoicePoint, ...]


class Accuracy(_Shape):
    """Top-1 of one network: ``percent`` and its 95 % ``interval`` are in per cent."""

    correct: int
    total: int
    percent: float
    interval: tuple[float, float]


class Verdict(_Shape):
    """What was found for one package; None is what was not looked at."""

    top: str
    codes: int | None = None
    exhaustive: bool = False
    verilator_bit_exact: bool | None = None
    hls_bit_exact: bool | None = None
    protocol_ok: bool | None = None
    protocol_message: str = ""
    torch_within_certificate: bool | None = None
    lint_clean: bool | None = None
    lint_message: str = ""
    latency_measured: int | None = None
    #: Input code, expected output code, and the one that came.
    first_mismatch: tuple[int, int, int | None] | None = None
    passed: bool | None = None
    tools: dict[str, str] = {}


@dataclass(frozen=True)
class Origin:
    """An artefact: its path in the run folder, who made it and of what."""

    file: str
    version: str
    seed: int | None
    made_from: str


@dataclass(frozen=True)
class Layer:
    """All that is known of one norm layer."""

    name: str
    profile: LayerProfile | None
    front: Front | None
    chosen: Chosen | None
    verdict: Verdict | None
    #: Verilog of the emitted kernel by path in the run folder: what is computed, then the stream stage.
    sources: dict[str, str]
    #: What ``hwnorm synth`` found for the package, by target.
    synthesis: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """All that is known of a run. ``realign`` holds what ``realign.json`` tells beside top-1."""

    settings: dict[str, Any]
    layers: list[Layer]
    choices: Choices | None
    #: The choice that is built.
    choice: ChoicePoint | None
    top1: dict[str, Accuracy] | None
    realign: dict[str, Any]
    verified: bool
    origins: list[Origin]
    #: What ``hwnorm compare`` found; None if it was not run.
    comparison: dict[str, Any] | None = None


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        InputError: it holds no ``run.json``, or an artefact of it is damaged (names the file).
    """
    reader = _Reader(folder, [])
    settings = reader.required("run.json", "run", lambda data: dict(data["settings"]))
    profiles = reader.each("profiles", "profile", LayerProfile.from_json)
    fronts = reader.each("fronts", "front", Front.model_validate)
    choice = reader.optional("choice.json", "choice", _chosen) or {}
    choices = reader.optional("choices.json", "choices", Choices.model_validate)
    point = reader.optional("choice.json", "choice", ChoicePoint.model_validate) if choices else None
    realign = reader.optional("realign.json", "realign", dict)
    top1 = reader.optional("realign.json", "realign", _accuracies)
    verdicts = reader.optional("verdict.json", "verdict", _verdicts)
    names = [*choice, *sorted((profiles.keys() | fronts.keys()) - choice.keys(), key=_natural)]
    layers = []
    for name in names:
        chosen = choice.get(name)
        package = folder / "packages" / (chosen.top if chosen else name)
        files = [package / "rtl" / f"{package.name}{part}.v" for part in ("_core", "")]
        synthesis = f"packages/{package.name}/synthesis.json"
        layers.append(
            Layer(
                name,
                profiles.get(name),
                fronts.get(name),
                chosen,
                (verdicts or {}).get(chosen.top) if chosen else None,
                {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in files if p.is_file()},
                reader.optional(synthesis, "synthesis", lambda data: dict(data["targets"])) or {},
            )
        )
    others = {key: value for key, value in (realign or {}).items() if key not in (*HEAD, *_DETAILS)}
    verified = verdicts is not None
    comparison = reader.optional("compare.json", "compare", dict)
    return Run(settings, layers, choices, point, top1, others, verified, reader.origins, comparison)


def target_of(run: Run) -> Target | None:
    """The target of a run; None if it cannot be read any more."""
    try:
        return load_target(str(run.settings.get("target")))
    except InputError:
        return None


@dataclass
class _Reader:
    """Reads artefacts of one folder and notes their origins."""

    folder: Path
    origins: list[Origin]

    def required(self, name: str, kind: str, convert: Callable[[dict[str, Any]], T]) -> T:
        path = self.folder / name
        data = read_artefact(path, kind)
        origin = Origin(name, str(data.get("hwnorm_version")), data.get("seed"), str(data.get("made_from")))
        if origin not in self.origins:
            self.origins.append(origin)
        with _naming(path):
            return convert(data)

    def optional(self, name: str, kind: str, convert: Callable[[dict[str, Any]], T]) -> T | None:
        return self.required(name, kind, convert) if (self.folder / name).exists() else None

    def each(self, part: str, kind: str, convert: Callable[[dict[str, Any]], T]) -> dict[str, T]:
        """One artefact a layer, by the layer's name."""
        paths = sorted((self.folder / part).glob("[!.]*.json"), key=lambda path: _natural(path.stem))
        return {path.stem: self.required(f"{part}/{path.name}", kind, convert) for path in paths}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise InputError(f"{path}: no field {error}; run the stage that makes it again") from None
    except (TypeError, ValueError) as error:
        what = " ".join(str(error).split())
        raise InputError(f"{path}: damaged ({what}); run the stage that makes it again") from None


def _chosen(data: dict[str, Any]) -> dict[str, Chosen]:
    layers = (
        layer | {"datapath": None if layer["datapath"] is None else from_json(layer["datapath"])}
        for layer in data["layers"]
    )
    return {layer["layer"]: Chosen.model_validate(layer) for layer in layers}


def _accuracies(data: dict[str, Any]) -> dict[str, Accuracy]:
    return {step: Accuracy.model_validate(found) for step, found in data["top1"].items() if found is not None}


def _verdicts(data: dict[str, Any]) -> dict[str, Verdict]:
    return {package["top"]: Verdict.model_validate(package) for package in data["packages"]}


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which ``blocks.10`` comes after ``blocks.2``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
