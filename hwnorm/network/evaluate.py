"""How near a network is to its teacher: accuracy with its interval, or features' cosine without labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.network.norms import device_of, first_tensor
from hwnorm.network.paired import Z95, PairedAccuracy, PairedCosine, wilson
from hwnorm.progress import track
from hwnorm.rounding import percent_text


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of the images got their own label as the highest logit."""

    correct: int
    total: int

    @property
    def percent(self) -> float:
        return 100.0 * self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % score interval in per cent."""
        low, high = wilson(self.correct, self.total)
        return 100.0 * low, 100.0 * high

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, with per cent and interval."""
        return asdict(self) | {"percent": self.percent, "interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{percent_text(self.percent)} ({low:.2f} to {high:.2f}, {self.total} images)"


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one network on some images; ``top1`` and ``top5`` are None for one without classes.

    ``cosine`` is the mean cosine between its outputs and the teacher's, ``cosine_interval`` its 95 %
    interval, ``cosine_centred`` the same of outputs less the teacher's mean output. ``paired`` compares it
    with the teacher image by image: top-1, or the cosine where there are no classes; None of the teacher.
    """

    top1: Accuracy | None
    top5: Accuracy | None
    cosine: float
    cosine_interval: tuple[float, float]
    cosine_centred: float
    paired: PairedAccuracy | PairedCosine | None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        counted = {name: getattr(self, name) for name in ("top1", "top5")}
        return {name: a.to_json() if a is not None else None for name, a in counted.items()} | {
            "cosine": self.cosine,
            "cosine_interval": list(self.cosine_interval),
            "cosine_centred": self.cosine_centred,
        }


@torch.no_grad()
def evaluate(
    networks: Mapping[str, nn.Module],
    teacher: nn.Module,
    images: ImageSet,
    classes: int,
    batch: int = 100,
    progress: str | None = None,
) -> dict[str, Scores]:
    """Score networks in evaluation mode on the same images, in one pass over them.

    Args:
        classes: how many the teacher tells apart; 0 where its output is features.
        batch: images a forward pass.
        progress: label of the bar; None shows none.
    """
    device = device_of(teacher)
    # The same network under two names is run once, the teacher among them too.
    distinct = {id(network): network for network in (teacher, *networks.values())}
    outputs: dict[int, list[Tensor]] = {key: [] for key in distinct}
    truth: list[Tensor] = []
    steps = images.batches(batch)
    for pixels, labels in track(steps, progress, -(-len(images) // batch)) if progress else steps:
        at = pixels.to(device)
        truth.append(labels)
        for key, network in distinct.items():
            outputs[key].append(first_tensor(network(at)).flatten(1).cpu())
    found = {key: torch.cat(parts) for key, parts in outputs.items()}
    target, labels = found[id(teacher)], torch.cat(truth)
    return {
        name: _score(found[id(network)], target, labels, classes, network is teacher)
        for name, network in networks.items()
    }


def _score(found: Tensor, target: Tensor, labels: Tensor, classes: int, is_teacher: bool) -> Scores:
    cosines = torch.cosine_similarity(found, target).double()
    mean = target.mean(0)
    centred = torch.cosine_similarity(found - mean, target - mean).double().mean()
    half = Z95 * float(cosines.std()) / math.sqrt(len(cosines)) if len(cosines) > 1 else 1.0
    middle = float(cosines.mean())
    interval = max(-1.0, middle - half), min(1.0, middle + half)
    if not classes:
        paired = None if is_teacher else PairedCosine.of(cosines, torch.ones_like(cosines))
        return Scores(None, None, middle, interval, float(centred), paired)
    first, five = (_right(found, labels, k) for k in (1, 5))
    return Scores(
        Accuracy(int(first.sum()), len(labels)),
        Accuracy(int(five.sum()), len(labels)),
        middle,
        interval,
        float(centred),
        None if is_teacher else PairedAccuracy.of(first, _right(target, labels, 1)),
    )


def _right(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether an image's label is among the best k: (images,) of bool."""
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return (best == labels[:, None]).any(1)


@torch.no_grad()
def top1(model: nn.Module, images: ImageSet, batch: int = 250, progress: str | None = None) -> Accuracy:
    """Evaluate a model in evaluation mode; ``progress`` labels the bar, None shows none."""
    steps = images.batches(batch)
    device = device_of(model)
    correct = total = 0
    for pixels, labels in track(steps, progress, -(-len(images) // batch)) if progress else steps:
        correct += int((model(pixels.to(device)).argmax(1).cpu() == labels).sum())
        total += len(labels)
    return Accuracy(correct, total)
