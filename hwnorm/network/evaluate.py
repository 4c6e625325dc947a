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
from hwnorm.progress import track

#: Two-sided 95 % quantile of the normal distribution.
_Z = 1.959963984540054


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
        """Wilson's 95 % score interval in per cent (E. B. Wilson, JASA 22, 1927)."""
        n, p = self.total, self.correct / self.total
        centre = p + _Z**2 / (2 * n)
        half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        scale = 100.0 / (1 + _Z**2 / n)
        return max(0.0, (centre - half) * scale), min(100.0, (centre + half) * scale)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, with per cent and interval."""
        return asdict(self) | {"percent": self.percent, "interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.percent:.2f} % ({low:.2f} to {high:.2f}, {self.total} images)"


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one network on some images; ``top1`` and ``top5`` are None for one without classes.

    ``cosine`` is the mean cosine between its outputs and the teacher's, ``cosine_interval`` its 95 %
    interval, ``cosine_centred`` the same of outputs less the teacher's mean output.
    """

    top1: Accuracy | None
    top5: Accuracy | None
    cosine: float
    cosine_interval: tuple[float, float]
    cosine_centred: float

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
    outputs: dict[str, list[Tensor]] = {name: [] for name in networks}
    wanted: list[Tensor] = []
    truth: list[Tensor] = []
    steps = images.batches(batch)
    for pixels, labels in track(steps, progress, -(-len(images) // batch)) if progress else steps:
        at = pixels.to(device)
        wanted.append(first_tensor(teacher(at)).flatten(1).cpu())
        truth.append(labels)
        for name, network in networks.items():
            same = network is teacher
            outputs[name].append(wanted[-1] if same else first_tensor(network(at)).flatten(1).cpu())
    target, labels = torch.cat(wanted), torch.cat(truth)
    return {name: _score(torch.cat(found), target, labels, classes) for name, found in outputs.items()}


def _score(found: Tensor, target: Tensor, labels: Tensor, classes: int) -> Scores:
    cosines = torch.cosine_similarity(found, target).double()
    mean = target.mean(0)
    centred = torch.cosine_similarity(found - mean, target - mean).double().mean()
    half = _Z * float(cosines.std()) / math.sqrt(len(cosines)) if len(cosines) > 1 else 1.0
    middle = float(cosines.mean())
    interval = max(-1.0, middle - half), min(1.0, middle + half)
    counted = [_accuracy(found, labels, k) if classes else None for k in (1, 5)]
    return Scores(counted[0], counted[1], middle, interval, float(centred))


def _accuracy(logits: Tensor, labels: Tensor, k: int) -> Accuracy:
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return Accuracy(int((best == labels[:, None]).any(1).sum()), len(labels))


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
