"""What a run folder holds, read for the report. What is not there, or is stale, is None and is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnorm.artefact import A
from hwnorm.choose.choices import Choices
from hwnorm.compare.comparison import Comparison
from hwnorm.engine.stored import StoredCosim, StoredEngine
from hwnorm.errors import InputError
from hwnorm.files import read_artefact
from hwnorm.integers.stored import StoredNetwork
from hwnorm.network.choice import Choice, Chosen
from hwnorm.profile import LayerProfile
from hwnorm.realign.realigned import Counted, Paired, Realigned
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import (
    CHOICE,
    CHOICES,
    COMPARISON,
    COSIM,
    ENGINE,
    FRONT,
    INTEGER,
    PACKAGES,
    PROFILE,
    REALIGNED,
    VERDICTS,
    Product,
)
from hwnorm.runs.settings import target_of
from hwnorm.search.layer import Front
from hwnorm.synth.package import PackageSynthesis, read_synthesis
from hwnorm.targets.target import Target
from hwnorm.verify.verdict import Verdict


@dataclass(frozen=True)
class Origin:
    """An artefact: its path in the run folder, who made it and of what."""

    file: str
    version: str
    seed: int | None
    made_from: dict[str, str]


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
    synthesis: dict[str, PackageSynthesis]


@dataclass(frozen=True)
class Run:
    """All that is known of a run. ``target`` is None where its file cannot be read any more."""

    settings: dict[str, Any]
    lanes: int
    target: Target | None
    layers: list[Layer]
    choices: Choices | None
    #: The choice that is built.
    choice: Choice | None
    realigned: Realigned | None
    #: The network in integers; None if ``hwnorm quantize`` was not run.
    integer: StoredNetwork | None
    #: The accelerator, and what its simulation found; None if ``hwnorm engine`` or ``cosim`` was not run.
    engine: StoredEngine | None
    cosim: StoredCosim | None
    #: Whether there are verdicts of these packages.
    verified: bool
    origins: list[Origin]
    #: What ``hwnorm compare`` found; None if it was not run.
    comparison: Comparison | None
    #: What is there and not shown: file, and why with the command that renews it.
    stale: dict[str, str]

    @property
    def top1(self) -> dict[str, Counted]:
        """Accuracies by network; empty where none were measured."""
        return {} if self.realigned is None else self.realigned.top1

    @property
    def paired(self) -> dict[str, Paired]:
        """Each network beside the original."""
        return {} if self.realigned is None else self.realigned.paired


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        InputError: it holds no ``run.json``, or an artefact of it is damaged (names the file).
    """
    run = RunFolder.open(folder)
    reader = _Reader(run, {}, [])
    try:
        target = target_of(run.settings)
    except InputError:
        target = None
    profiles, fronts = reader.each(PROFILE), reader.each(FRONT)
    choice = reader.one(CHOICE)
    chosen = {} if choice is None else {c.layer: c for c in choice.layers}
    emitted = reader.one(PACKAGES)
    verdicts = reader.one(VERDICTS)
    found = {} if verdicts is None else {verdict.top: verdict for verdict in verdicts.packages}
    names = [*chosen, *sorted((profiles.keys() | fronts.keys()) - chosen.keys(), key=_natural)]
    layers = []
    for name in names:
        top = chosen[name].top if name in chosen else None
        built = emitted is not None and top is not None
        layers.append(
            Layer(
                name,
                profiles[name].statistics if name in profiles else None,
                fronts.get(name),
                chosen.get(name),
                found.get(top) if top is not None else None,
                _verilog(run, top) if built and top is not None else {},
                read_synthesis(run.package(top)) if built and top is not None else {},
            )
        )
    return Run(
        run.settings.model_dump(mode="json"),
        run.settings.lanes,
        target,
        layers,
        reader.one(CHOICES),
        choice,
        reader.one(REALIGNED),
        reader.one(INTEGER),
        reader.one(ENGINE),
        reader.one(COSIM),
        verdicts is not None,
        reader.origins,
        reader.one(COMPARISON),
        reader.stale,
    )


def _verilog(run: RunFolder, top: str) -> dict[str, str]:
    paths = [run.package(top) / "rtl" / f"{top}{part}.v" for part in ("_core", "")]
    return {str(p.relative_to(run.path)): p.read_text(encoding="utf-8") for p in paths if p.is_file()}


@dataclass
class _Reader:
    """Reads artefacts of one folder, notes their origins, and leaves out what is stale."""

    run: RunFolder
    stale: dict[str, str]
    origins: list[Origin]

    def one(self, product: Product[A], layer: str | None = None) -> A | None:
        path = self.run.at(product, layer)
        if not path.exists():
            return None
        name = str(path.relative_to(self.run.path))
        data = read_artefact(path, product.kind)
        self.origins.append(Origin(name, data["hwnorm_version"], data["seed"], data["made_from"]))
        why = self.run.stale(product, layer)
        if why is not None:
            self.stale[name] = why
            return None
        return self.run.read(product, layer)

    def each(self, product: Product[A]) -> dict[str, A]:
        """One artefact a layer, by the layer's name."""
        there = self.run.path.glob(product.place.replace("{layer}", "[!.]*"))
        names = sorted((path.stem for path in there), key=_natural)
        read = {name: self.one(product, name) for name in names}
        return {name: artefact for name, artefact in read.items() if artefact is not None}


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which ``blocks.10`` comes after ``blocks.2``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
