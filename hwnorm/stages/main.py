"""The main job: every stage in turn, on one run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hwnorm.graph.read import NotCovered
from hwnorm.integers.stored import StoredNetwork
from hwnorm.network.choice import Choice
from hwnorm.progress import err
from hwnorm.realign.realigned import Realigned
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, INTEGER, PRODUCTS, REALIGNED, VERDICTS, Product
from hwnorm.runs.settings import target_of
from hwnorm.stages.capture import capture
from hwnorm.stages.choose import choose
from hwnorm.stages.emit import emit
from hwnorm.stages.quantize import quantize
from hwnorm.stages.realign import realign
from hwnorm.stages.report import report
from hwnorm.stages.search import search
from hwnorm.stages.verify import verify
from hwnorm.verify.toolchain import find_toolchain
from hwnorm.verify.verdict import Verdict


@dataclass(frozen=True)
class Work:
    """What stages work with: the model and the images, processes, and a cluster if there is one."""

    inputs: Inputs
    jobs: int
    cluster: str | None = None


@dataclass(frozen=True)
class Stage:
    """A stage of the main job: its command's name, and what does it unless it is up to date."""

    name: str
    perform: Callable[[RunFolder, Work], object]

    @property
    def writes(self) -> tuple[Product, ...]:
        """The artefacts that it makes; what these are made from is declared with them."""
        return tuple(product for product in PRODUCTS if product.stage == self.name)


def _quantize(run: RunFolder, work: Work) -> None:
    """Integers, unless the run leaves them out or its network has no graph: kernels need neither."""
    if not run.settings.quantize:
        return
    try:
        quantize(run, work.inputs)
    except NotCovered as reason:
        err.print(f"quantize: left out; {reason}", style="yellow", highlight=False)


#: In order. What a trial of a sweep does is all but the last.
STAGES = (
    Stage("capture", lambda run, work: capture(run, work.inputs)),
    Stage("search", lambda run, work: search(run, work.jobs, work.cluster)),
    Stage("choose", lambda run, work: choose(run, work.inputs, work.jobs)),
    Stage("realign", lambda run, work: realign(run, work.inputs)),
    Stage("quantize", _quantize),
    Stage("emit", lambda run, work: emit(run)),
    Stage("verify", lambda run, work: verify(run, work.jobs)),
    Stage("report", lambda run, work: report(run, work.jobs)),
)


@dataclass(frozen=True)
class Finished:
    """A run of every stage: its folder, and what the artefacts there say."""

    folder: Path
    choice: Choice
    #: One a package; of a function that folds there is none.
    verdicts: tuple[Verdict, ...]
    realigned: Realigned
    #: None where it was left out.
    integer: StoredNetwork | None

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    @property
    def passed(self) -> bool:
        """Whether every kernel passed every check."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def accuracies(self) -> dict[str, float]:
        """Top-1 in per cent, or the cosine to the original's features, by network as in ``realign.json``.

        ``layernorm`` is the original, ``realigned`` the one with functions, ``bit_true`` what the hardware
        computes.
        """
        return {
            name: found.cosine if found.top1 is None else found.top1.percent
            for name, found in self.realigned.scores.items()
        }


def run_all(run: RunFolder, jobs: int, cluster: str | None = None) -> Finished:
    """Run every stage that is not up to date.

    Raises:
        InputError: what any of the stages raises; a missing tool, an unknown target or unusable test
            images before the first stage.
    """
    find_toolchain()
    target_of(run.settings)
    work = Work(Inputs(run.settings), jobs, cluster)
    _ = work.inputs.test_images
    for stage in STAGES:
        stage.perform(run, work)
    integer = run.read(INTEGER) if run.settings.quantize and run.at(INTEGER).is_file() else None
    return Finished(run.path, run.read(CHOICE), run.read(VERDICTS).packages, run.read(REALIGNED), integer)
