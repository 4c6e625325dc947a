"""Top-1 accuracy, with the interval that its number of images allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from hwnorm.data.images import ImageSet
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

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.percent:.2f} % ({low:.2f} to {high:.2f}, {self.total} images)"


@torch.no_grad()
def top1(model: nn.Module, images: ImageSet, batch: int = 250, progress: str | None = None) -> Accuracy:
    """Evaluate a model in evaluation mode; ``progress`` labels the bar, None shows none."""
    steps = images.batches(batch)
    correct = 0
    for pixels, labels in track(steps, progress, -(-len(images) // batch)) if progress else steps:
        correct += int((model(pixels).argmax(1) == labels).sum())
    return Accuracy(correct, len(images))
