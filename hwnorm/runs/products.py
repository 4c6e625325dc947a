"""What a run folder holds, declared once: an artefact's place, what it is made from, and who makes it.

From these declarations follow what ``made_from`` says in an artefact's head, what is stale, what ``--force``
removes, what the trials of a sweep share and export, and the tables in ``docs/architecture.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal

from hwnorm.artefact import A
from hwnorm.choose.choices import Choices
from hwnorm.compare.comparison import Comparison
from hwnorm.engine.stored import PACKAGE, StoredCosim, StoredEngine
from hwnorm.integers.stored import CODES, StoredNetwork
from hwnorm.network.choice import Choice, functions_digest
from hwnorm.network.replacement import WEIGHTS
from hwnorm.profile import Profile
from hwnorm.realign.realigned import Realigned
from hwnorm.runs.markers import Emitted, Pages, SearchStates
from hwnorm.runs.seals import codes_seal, engine_seal, packages_seal, share_seal, weights_seal
from hwnorm.search.layer import Front
from hwnorm.share.stored import PACKAGE as SHARED
from hwnorm.share.stored import StoredShare
from hwnorm.verify.verdict import Verdicts

#: What artefacts depend on beside others and settings. ``model``: weights and how images are prepared;
#: ``target``: what the technology's file says, with the run's weights; ``warm_start``: the functions of an
#: earlier run; ``tools``: versions of the simulators. ``code`` is hwnorm's own with the versions of
#: torch, timm and NumPy, and decides everywhere.
Need = Literal["model", "training_images", "test_images", "target", "warm_start", "tools"]


@dataclass(frozen=True)
class Product(Generic[A]):
    """An artefact of a run folder.

    Attributes:
        model: what the file holds.
        place: where it lies; ``{layer}`` in it says that there is one for each layer.
        stage: the command that makes it.
        holds: one line for people.
        reads: the artefacts that it is made from; of a layer's own the same layer's.
        settings: of the run that it depends on; names of fields or properties of ``RunSettings``.
        needs: what else it depends on.
        beside: patterns of what belongs to it and is written before it.
        seal: hash of what lies beside it in a run folder; the artefact holds it as ``seal``.
        exported: whether a picked point of a sweep takes it along.
        passing: whether it is there only while its stage works.
    """

    model: type[A]
    place: str
    stage: str
    holds: str
    reads: tuple[Source, ...] = ()
    settings: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    beside: tuple[str, ...] = ()
    seal: Callable[[Path], str] | None = None
    exported: bool = False
    passing: bool = False

    @property
    def kind(self) -> str:
        """As the head of the file says."""
        return self.model.KIND

    @property
    def by_layer(self) -> bool:
        return "{layer}" in self.place


@dataclass(frozen=True)
class Source:
    """An artefact that another is made from: all that it holds, or what ``part`` returns of it.

    ``functions`` says that a network with LayerNorms in all places is not made from it.
    """

    product: Product[Any]
    part: Callable[[Any], Any] | None = field(default=None, compare=False)
    functions: bool = False

    @property
    def name(self) -> str:
        """In ``made_from``."""
        return self.product.kind


PROFILE = Product(
    Profile,
    "profiles/{layer}.json",
    "capture",
    "what the norm makes of its input: sums by bins of x, ranges, and where its weight and bias go",
    settings=("only", "skip"),
    needs=("model", "training_images"),
)
SEARCH = Product(
    SearchStates,
    "search/{layer}.json",
    "search",
    "the state of each restart, from which an interrupted search goes on",
    reads=(Source(PROFILE),),
    settings=("searched",),
    needs=("target", "warm_start"),
    passing=True,
)
FRONT = Product(
    Front,
    "fronts/{layer}.json",
    "search",
    "the non-dominated functions of the layer: error, R2, cost and figures of each",
    reads=(Source(PROFILE),),
    settings=("searched",),
    needs=("target", "warm_start"),
)
CHOICES = Product(
    Choices,
    "choices.json",
    "choose",
    "what each layer may be built as and what that costs the network; the front of choices",
    reads=(Source(PROFILE), Source(FRONT)),
    settings=("clock_mhz", "max_lut", "max_latency", "no_dsp", "operators"),
    needs=("model", "training_images", "target"),
)
CHOICE = Product(
    Choice,
    "choice.json",
    "choose",
    "one function a layer under the budget, with its certified datapath",
    reads=(Source(CHOICES),),
    settings=("total_area", "max_loss", "within"),
    exported=True,
)
REALIGNED = Product(
    Realigned,
    "realign.json",
    "realign",
    "scores of each network on the test images, what was fitted, what became of each norm's weight and bias",
    reads=(Source(CHOICE, lambda choice: functions_digest(choice.layers)),),
    settings=("finetuning",),
    needs=("model", "training_images", "test_images"),
    beside=(WEIGHTS,),
    seal=weights_seal,
    exported=True,
)
INTEGER = Product(
    StoredNetwork,
    "integer.json",
    "quantize",
    "the network in integers: every operation, format and row, and its scores on the test images",
    reads=(
        Source(CHOICE, lambda choice: functions_digest(choice.layers), functions=True),
        Source(REALIGNED, lambda realigned: realigned.seal, functions=True),
    ),
    settings=("quantizing", "finetuning_integers"),
    needs=("model", "training_images", "test_images", "target"),
    beside=(CODES,),
    seal=codes_seal,
)
PACKAGES = Product(
    Emitted,
    "packages/.made_from",
    "emit",
    "names of the kernels in `packages/TOP/`, written after them",
    reads=(
        Source(CHOICE, lambda choice: choice.to_json()["layers"]),
        Source(PROFILE, lambda profile: profile.affine),
    ),
    settings=("model", "lanes"),
    needs=("target",),
    beside=("packages/*",),
    seal=packages_seal,
    exported=True,
)
VERDICTS = Product(
    Verdicts,
    "verdict.json",
    "verify",
    "what was found for each package",
    reads=(Source(PACKAGES),),
    settings=("seed",),
    needs=("tools",),
    exported=True,
)
SHARE = Product(
    StoredShare,
    "share.json",
    "share",
    "one unit of all functions in `share/`: how it is built, what the ways cost, each layer's certificate",
    reads=(Source(INTEGER, lambda integer: integer.seal),),
    settings=("clock_mhz", "lanes", "seed"),
    needs=("target", "tools"),
    beside=(SHARED,),
    seal=share_seal,
)
COMPARISON = Product(
    Comparison,
    "compare.json",
    "compare",
    "each layer's designs, LayerNorm among them, with what synthesis counted",
    reads=(Source(CHOICE), Source(PROFILE), Source(FRONT)),
    settings=("clock_mhz",),
)
ENGINE = Product(
    StoredEngine,
    "engine.json",
    "engine",
    "the accelerator in `engine/`, the front that it was picked from, and the cycles of each phase",
    reads=(Source(INTEGER, lambda integer: integer.seal),),
    settings=("clock_mhz",),
    needs=("model", "test_images", "target"),
    beside=(PACKAGE,),
    seal=engine_seal,
)
COSIM = Product(
    StoredCosim,
    "cosim.json",
    "cosim",
    "whole images through the engine's Verilog: logits, and cycles predicted and counted",
    reads=(Source(ENGINE),),
    needs=("test_images", "tools"),
)
REPORT = Product(
    Pages,
    "report/.made_from",
    "report",
    "what `report.html` and its pictures were drawn from, written after them",
    beside=("report/*.png", "report/*.svg", "report.html"),
)
#: In the order in which they are made.
PRODUCTS: tuple[Product[Any], ...] = (
    PROFILE,
    SEARCH,
    FRONT,
    CHOICES,
    CHOICE,
    REALIGNED,
    INTEGER,
    PACKAGES,
    VERDICTS,
    SHARE,
    COMPARISON,
    ENGINE,
    COSIM,
    REPORT,
)
