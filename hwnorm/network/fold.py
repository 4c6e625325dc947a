"""Fold a per-channel affine into the linear layers and convolutions that read it, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwnorm.expression import Expression


@torch.no_grad()
def fold_affine(consumers: Sequence[nn.Module], gain: Tensor | None, shift: Tensor | None) -> None:
    """Let each consumer read y where it read gain * y + shift: W' = W diag(gain), b' = b + W shift.

    Args:
        consumers: ``nn.Linear``, or ``nn.Conv2d`` (one that pads with zeros takes no shift).
        gain, shift: (channels,), on any device, or None for ones and zeros.

    Computed in float64, so that folding rounds once.
    """
    for consumer in consumers:
        assert isinstance(consumer, nn.Linear | nn.Conv2d)
        weight = consumer.weight.double()
        if shift is not None:
            # (out, in / groups, ...): what a shift of each input channel adds to the output.
            taps = weight if isinstance(consumer, nn.Linear) else weight.sum((2, 3))
            added = (taps * _of_group(consumer, shift.to(weight))).sum(1)
            bias = added if consumer.bias is None else consumer.bias.double() + added
            consumer.bias = nn.Parameter(bias.to(consumer.weight.dtype))
        if gain is not None:
            gains = _of_group(consumer, gain.to(weight))
            weight = weight * (gains if isinstance(consumer, nn.Linear) else gains[:, :, None, None])
            consumer.weight = nn.Parameter(weight.to(consumer.weight.dtype))


def _of_group(consumer: nn.Linear | nn.Conv2d, values: Tensor) -> Tensor:
    """Each output channel's values for the inputs that it reads: (out or 1, in / groups)."""
    if isinstance(consumer, nn.Linear) or consumer.groups == 1:
        return values[None]
    groups = consumer.groups
    return values.view(groups, -1).repeat_interleave(consumer.out_channels // groups, 0)


def line_of(expression: Expression) -> tuple[float, float] | None:
    """Gain and offset where the expression is gain * x + offset, else None."""
    if expression.kind == "x":
        return 1.0, 0.0
    if expression.is_constant:
        return 0.0, expression.value
    if expression.kind not in ("add", "sub", "neg", "mul", "shift"):
        return None
    lines = [line_of(arg) for arg in expression.args]
    match expression.kind, lines:
        case "add", [(a, b), (c, d)]:
            return a + c, b + d
        case "sub", [(a, b), (c, d)]:
            return a - c, b - d
        case "neg", [(a, b)]:
            return -a, -b
        case "mul", [(0.0, c), (a, b)] | [(a, b), (0.0, c)]:
            return c * a, c * b
        case "shift", [(a, b), (0.0, k)]:
            return a * 2.0**k, b * 2.0**k
    return None
