"""A graph made ready for integers: what real scales are free to do is done while there are any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import (
    Add,
    Affine,
    Context,
    Embed,
    Function,
    Linear,
    Norm,
    Operation,
    Scores,
    Softmax,
)
from hwnorm.threads import in_threads

#: A channel's range: all but this share of its values.
_OUTSIDE = 1e-3
#: A channel whose range is below this share of the largest is as good as silent: its gain stays below that.
_SILENT = 1e-3
#: Images that are worked on together.
_TOGETHER = 50


@dataclass(frozen=True, eq=False)
class Prepared:
    """A graph whose softmax is in powers of two, and by what tensors' channels are larger than they were.

    ``gains`` has (channels,) for each tensor that was scaled; what reads it makes up for that.
    """

    graph: Graph
    gains: Mapping[str, Tensor]


@torch.no_grad()
def prepare(graph: Graph, images: Tensor) -> Prepared:
    """Scale channels where it costs nothing, and put a function where a stream meets a linear layer.

    q and k of a channel get the same range, and every channel of the context the same, whose gains v's rows
    take up, and the inverse the columns of the layer behind. log2(e) goes into q: probabilities are
    2^score over their sum then. Where a norm folded away, the linear layers read the residual stream itself:
    an identity stands there, which becomes the kernel that narrows it.

    Args:
        images: (n, C, H, W), to see ranges with.
    """
    ranges = _ranges(graph, images)
    made = {op.out: op for op in graph.operations}
    gains: dict[str, Tensor] = {}
    changed: dict[str, Operation] = {}
    for op in graph.operations:
        if isinstance(op, Scores):
            q, k = made[op.q], made[op.k]
            own = torch.ones_like(ranges[op.q])
            if isinstance(q, Linear) and isinstance(k, Linear):
                own = (ranges[op.k] / ranges[op.q]).sqrt()
                changed[op.k] = _scaled(k, 1 / own)
                gains[op.k] = 1 / own
            gains[op.q] = own * math.log2(math.e)
            changed[op.q] = _scaled(q, gains[op.q])
        elif isinstance(op, Context):
            v, (behind,) = made[op.v], graph.consumers(op.out)
            if isinstance(v, Linear) and isinstance(behind, Linear):
                own = 1 / ranges[op.out]
                changed[op.v] = _scaled(v, own)
                changed[behind.out] = replace(behind, weight=behind.weight / own)
                gains[op.v] = gains[op.out] = own
        elif isinstance(op, Softmax):
            changed[op.out] = replace(op, base=2.0)
    operations = [changed.get(op.out, op) for op in graph.operations]
    return Prepared(Graph(tuple(_with_identities(operations))), gains)


def streams(operations: Sequence[Operation]) -> set[str]:
    """The tensors that are the residual stream at some place: what something is added to, and the sums."""
    found = {op.out for op in operations if isinstance(op, Embed | Add)}
    return found | {op.stream for op in operations if isinstance(op, Add)}


def _ranges(graph: Graph, images: Tensor) -> dict[str, Tensor]:
    """Of each channel of q, k and contexts, (channels,)."""
    wanted = {name for op in graph.operations if isinstance(op, Scores) for name in op.reads}
    wanted |= {op.out for op in graph.operations if isinstance(op, Context)}

    @torch.no_grad()
    def part(some: Tensor) -> dict[str, tuple[int, Tensor]]:
        found = {}
        for op, values in graph.walk(some):
            if op.out in wanted:
                tokens = values[op.out].abs().flatten(0, 1)
                # All that lie outside may be in one part.
                most = math.ceil(_OUTSIDE * len(images) / len(some) * len(tokens)) + 2
                found[op.out] = len(tokens), tokens.T.topk(min(most, len(tokens))).values
        return found

    parts = list(in_threads(part, torch.split(images, _TOGETHER)))
    return {
        name: _range(
            torch.cat([found[name][1] for found in parts], 1), sum(found[name][0] for found in parts)
        )
        for name in wanted
    }


def _range(largest: Tensor, count: int) -> Tensor:
    """From the largest of so many absolute values of each channel, (channels, values): (channels,)."""
    place = torch.tensor(1 - _OUTSIDE) * (count - 1)
    below, share = int(place), float(place.frac())
    ordered = largest.sort(1, descending=True).values
    lower, upper = (ordered[:, count - 1 - min(at, count - 1)] for at in (below, below + 1))
    found = torch.lerp(lower, upper, share)
    return found.clamp(min=max(_SILENT * float(found.max()), 1e-12))


def _scaled(op: Operation, gain: Tensor) -> Operation:
    """An operation whose output's channels are so many times what they were."""
    if isinstance(op, Linear):
        return replace(op, weight=op.weight * gain[:, None], bias=op.bias * gain)
    if isinstance(op, Affine):
        return replace(op, weight=op.weight * gain, bias=op.bias * gain)
    assert isinstance(op, Norm)
    size = len(op.weight)
    return replace(op, weight=op.weight * gain[:size], bias=op.bias * gain[:size])


def _with_identities(operations: list[Operation]) -> list[Operation]:
    wide = streams(operations)
    found: list[Operation] = []
    narrowed: dict[str, str] = {}
    for op in operations:
        if isinstance(op, Linear) and op.x in wide:
            if op.x not in narrowed:
                narrowed[op.x] = f"{op.x}.narrowed"
                found.append(Function(narrowed[op.x], op.x, nn.Identity(), op.layer))
            op = replace(op, x=narrowed[op.x])
        found.append(op)
    return found
