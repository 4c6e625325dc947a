"""Which format each tensor gets: by what the network's output loses, to first order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnorm.fixed import FixedFormat
from hwnorm.graph.graph import Graph
from hwnorm.threads import in_threads

#: Formats that are tried for a tensor: from the one that holds all its values to those that are so many bits
#: finer and cut the largest off.
FINER = 4
#: Images that are looked at together, at most; fewer where one image's tensors are so many bytes.
_TOGETHER, _BYTES = 32, 2**28
#: Threads at most: each holds the tensors of its images some five times, with their gradients.
_MOST = 4

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
    parts = torch.split(images, _together(graph, images[:1]))
    reach = _reach(graph, parts)
    tried = {name: _candidates(width, reach[name]) for name, width in widths.items()}
    moves: dict[str, list[Tensor]] = {name: [] for name in tried}
    rows = {op.out: torch.zeros(len(op.weight)) for op in graph.linears}
    count = 0
    for part in in_threads(lambda some: _part(graph, some, tried, directions), parts, most=_MOST):
        count += part.count
        for name, moved in part.moves.items():
            moves[name].append(moved)
        for name, squares in part.rows.items():
            rows[name] += squares
        step()
    chosen, losses = {}, {}
    for name, formats in tried.items():
        each = loss_of(torch.cat(moves[name], dim=1).double())
        best = int(each.argmin())
        chosen[name], losses[name] = formats[best], float(each[best])
    return Findings(chosen, losses, reach, {name: row / count for name, row in rows.items()})


@dataclass(frozen=True)
class _Part:
    """Of some images, times directions so many: moves (formats, images x directions), squares (outputs,)."""

    count: int
    moves: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]


@torch.enable_grad()
def _part(
    graph: Graph, images: Tensor, tried: Mapping[str, Sequence[FixedFormat]], directions: Directions
) -> _Part:
    values = graph.trace(images.clone().requires_grad_())
    output = values[graph.output].flatten(1)
    names = list({*tried, *(op.out for op in graph.linears)})
    gradients: dict[str, list[Tensor]] = {name: [] for name in names}
    count = 0
    for direction in directions(output.detach()):
        count += 1
        total = (output * direction).sum()
        asked = [values[name] for name in names]
        found = torch.autograd.grad(total, asked, retain_graph=True, allow_unused=True)
        for name, gradient in zip(names, found, strict=True):
            # The output may depend on none of a tensor's values.
            gradients[name].append(torch.zeros_like(values[name]) if gradient is None else gradient)
    with torch.no_grad():
        return _Part(
            count * len(images),
            {name: _moves(values[name], gradients[name], formats) for name, formats in tried.items()},
            {
                op.out: torch.stack([g.square().sum((0, 1)) for g in gradients[op.out]]).sum(0)
                for op in graph.linears
            },
        )


def _together(graph: Graph, image: Tensor) -> int:
    """How many images are looked at together."""
    with torch.no_grad():
        size = sum(value.nbytes for value in graph.trace(image).values())
    return max(1, min(_TOGETHER, _BYTES // size))


def _reach(graph: Graph, parts: Sequence[Tensor]) -> dict[str, float]:
    """The largest absolute value of every tensor."""

    @torch.no_grad()
    def part(some: Tensor) -> dict[str, float]:
        return {op.out: float(values[op.out].abs().max()) for op, values in graph.walk(some)}

    found = list(in_threads(part, parts))
    return {name: max(of[name] for of in found) for name in found[0]}


def holding(width: int, reach: float) -> FixedFormat:
    """The finest format of some bits that holds the values up to ``reach``."""
    return FixedFormat(width, width - 1 - max(math.ceil(math.log2(max(reach, 1e-30))), -width))


def _candidates(width: int, reach: float) -> Sequence[FixedFormat]:
    widest = holding(width, reach)
    return [FixedFormat(width, widest.frac + finer) for finer in range(-1, FINER)]


def quantized(x: Tensor, fmt: FixedFormat) -> Tensor:
    """Values rounded half up and saturated to a format's."""
    codes = (x * 2.0**fmt.frac).add_(0.5).floor_().clamp_(fmt.min_code, fmt.max_code)
    return codes.mul_(fmt.ulp)


def _moves(x: Tensor, gradients: Sequence[Tensor], formats: Sequence[FixedFormat]) -> Tensor:
    """(formats, images x directions)."""
    found = []
    for fmt in formats:
        error = quantized(x, fmt) - x
        found.append(torch.cat([(error * gradient).flatten(1).sum(1) for gradient in gradients]))
    return torch.stack(found)
