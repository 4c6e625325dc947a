"""Which format each tensor gets: by what the network's output loses, to first order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnorm.fixed import FixedFormat
from hwnorm.graph.graph import Graph

#: Formats that are tried for a tensor: from the one that holds all its values to those that are so many bits
#: finer and cut the largest off.
FINER = 4
#: Images that are looked at together.
_TOGETHER = 32

#: Random directions of an output, as :meth:`hwnorm.choose.network.NetworkLoss.directions` draws them.
Directions = Callable[[Tensor], Iterable[Tensor]]


@dataclass(frozen=True)
class Findings:
    """What a network's output makes of its tensors.

    ``formats`` of the tensors that were asked for, ``losses`` what rounding each to its own costs by itself;
    ``reach`` the largest absolute value of every tensor; ``rows`` for each linear layer the mean squared
    gradient at each of its outputs, summed over an image's tokens, (outputs,).
    """

    formats: Mapping[str, FixedFormat]
    losses: Mapping[str, float]
    reach: Mapping[str, float]
    rows: Mapping[str, Tensor]


def find_formats(
    graph: Graph,
    images: Tensor,
    widths: Mapping[str, int],
    directions: Directions,
    loss_of: Callable[[Tensor], Tensor],
    step: Callable[[], None] = lambda: None,
) -> Findings:
    """Choose each tensor's fractional bits by what rounding and saturating it does to the output.

    An error e of a tensor moves the output along a random direction by the sum of e times the direction's
    gradient, over an image: errors that cancel there cost nothing, and a value that is cut off costs what
    the output makes of it.

    Args:
        graph: prepared (:mod:`hwnorm.integers.prepare`).
        images: training images, (n, C, H, W).
        widths: bits of each tensor that needs a format.
        directions: of the outputs of some images.
        loss_of: the loss of moves (candidates, directions x images): (candidates,).
        step: is called after each part of the images.
    """
    parts = torch.split(images, _TOGETHER)
    reach: dict[str, float] = {}
    with torch.no_grad():
        for part in parts:
            for name, value in graph.trace(part).items():
                reach[name] = max(reach.get(name, 0.0), float(value.abs().max()))
    tried = {name: _candidates(width, reach[name]) for name, width in widths.items()}
    moves: dict[str, list[Tensor]] = {name: [] for name in tried}
    rows: dict[str, Tensor] = {}
    linears = [op.out for op in graph.linears]
    count = 0
    for part in parts:
        with torch.enable_grad():
            values = graph.trace(part.clone().requires_grad_())
            output = values[graph.output].flatten(1)
            names = [*tried, *linears]
            for direction in directions(output.detach()):
                total = (output * direction).sum()
                found = torch.autograd.grad(
                    total, [values[name] for name in names], retain_graph=True, allow_unused=True
                )
                gradients = dict(zip(names, found, strict=True))
                count += len(part)
                for name, formats in tried.items():
                    moves[name].append(_moves(values[name].detach(), gradients[name], formats))
                for name in linears:
                    gradient = gradients[name]
                    if gradient is not None:
                        square = gradient.square().sum((0, 1))
                        rows[name] = rows[name] + square if name in rows else square
        step()
    chosen, losses = {}, {}
    for name, formats in tried.items():
        each = loss_of(torch.cat(moves[name], dim=1).double())
        best = int(each.argmin())
        chosen[name], losses[name] = formats[best], float(each[best])
    none = {name: torch.zeros(values[name].shape[-1]) for name in linears if name not in rows}
    return Findings(chosen, losses, reach, {name: row / count for name, row in (rows | none).items()})


def holding(width: int, reach: float) -> FixedFormat:
    """The finest format of some bits that holds the values up to ``reach``."""
    return FixedFormat(width, width - 1 - max(math.ceil(math.log2(max(reach, 1e-30))), -width))


def _candidates(width: int, reach: float) -> Sequence[FixedFormat]:
    widest = holding(width, reach)
    return [FixedFormat(width, widest.frac + finer) for finer in range(-1, FINER)]


def quantized(x: Tensor, fmt: FixedFormat) -> Tensor:
    """Values rounded half up and saturated to a format's."""
    codes = (x * 2.0**fmt.frac + 0.5).floor().clamp(fmt.min_code, fmt.max_code)
    return codes * fmt.ulp


def _moves(x: Tensor, gradient: Tensor | None, formats: Sequence[FixedFormat]) -> Tensor:
    """(formats, images)."""
    if gradient is None:
        return x.new_zeros(len(formats), len(x))
    return torch.stack([((quantized(x, fmt) - x) * gradient).flatten(1).sum(1) for fmt in formats])
