"""``realign.json``: the scores of each network, and what the closed form fitted."""

from __future__ import annotations

from hwnorm.artefact import Artefact, Part
from hwnorm.network.refit import Refit
from hwnorm.realign.finetune import Epoch


class Counted(Part):
    """How many images got their own label among the highest logits; the interval is Wilson's, in per cent."""

    correct: int
    total: int
    percent: float
    interval: tuple[float, float]


class NetworkScores(Part):
    """Of one network (:class:`hwnorm.network.evaluate.Scores`)."""

    top1: Counted | None
    top5: Counted | None
    cosine: float
    cosine_interval: tuple[float, float]
    cosine_centred: float


class Paired(Part):
    """A network less the original on the same images, in points of top-1 or of the cosine.

    With classes also how many images both have right, the original alone (``lost``), the network alone
    (``gained``), and neither, and McNemar's exact p (:mod:`hwnorm.network.paired`).
    """

    difference: float
    interval: tuple[float, float]
    both: int | None = None
    lost: int | None = None
    gained: int | None = None
    neither: int | None = None
    mcnemar_p: float | None = None


class Realigned(Artefact):
    """``scores`` and ``top1`` are by network, ``affines`` by layer; ``seal`` is the hash of the weights."""

    KIND = "realign"

    method: str
    fit_images: int
    fit_images_from: str
    test_images: int
    test_images_from: str
    test_fingerprint: str
    seal: str
    top1: dict[str, Counted]
    #: Of every network but the original.
    paired: dict[str, Paired]
    scores: dict[str, NetworkScores]
    affines: dict[str, str]
    fits: tuple[Refit, ...]
    epochs: tuple[Epoch, ...]
