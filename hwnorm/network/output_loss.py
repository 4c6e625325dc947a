"""What a network loses when its output is another: the divergence of logits, the error of features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one network on images that its fits have not seen.

    ``loss`` is the mean KL divergence of its class probabilities from the original's in nats, or for
    a network without a head the squared error of its features over their variance. ``agreement`` is
    the share of images with the original's top-1 class in per cent; None without a head.
    """

    loss: float
    agreement: float | None


def has_head(model: nn.Module) -> bool:
    """Whether the output is logits."""
    classifier = getattr(model, "get_classifier", lambda: model)()
    return not isinstance(classifier, nn.Identity)


class OutputLoss:
    """The loss of outputs, (n, classes or channels).

    Args:
        has_head: whether they are logits; else features.
    """

    def __init__(self, has_head: bool) -> None:
        self.has_head = has_head

    def compare(self, output: Tensor, wanted: Tensor) -> Measured:
        """How far an output is from the original's for the same images."""
        wanted, got = wanted.double(), output.double()
        if not self.has_head:
            return Measured(float((got - wanted).square().sum() / _spread(wanted)), None)
        log_p, log_q = wanted.log_softmax(1), got.log_softmax(1)
        loss = (log_p.exp() * (log_p - log_q)).sum(1).mean()
        agreement = (wanted.argmax(1) == got.argmax(1)).double().mean()
        return Measured(float(loss), 100 * float(agreement))

    def directions(self, output: Tensor, count: int) -> Iterable[Tensor]:
        """Random d with E[(d . e)^2 / 2] the loss of a small error e of an output, image by image.

        The divergence is e^T (diag(p) - p p^T) e / 2 then.
        """
        generator = torch.Generator().manual_seed(0)
        for _ in range(count):
            noise = torch.randn(output.shape, generator=generator).to(output)
            if self.has_head:
                p = output.softmax(1)
                yield p.sqrt() * noise - p * (p.sqrt() * noise).sum(1, keepdim=True)
            else:
                yield noise * (2 * len(output) / _spread(output)).sqrt()

    def loss_of(self, moves: Tensor) -> Tensor:
        """The loss of moves along :meth:`directions`, float64 (..., directions x images): (...,).

        A divergence grows with the square of a small error, and with a large one itself, so that no image
        counts for all others: sqrt(1 + m^2) - 1.
        """
        return ((1 + moves.square()).sqrt() - 1 if self.has_head else moves.square() / 2).mean(-1)


def _spread(wanted: Tensor) -> Tensor:
    return (wanted - wanted.mean(0)).square().sum()
