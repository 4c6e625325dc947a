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

#: A channel's range: all but this share of its values.
_OUTSIDE = 1e-3
#: A channel whose range is below this share of the largest is as good as silent: its gain stays below that.
_SILENT = 1e-3


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
    values = graph.trace(images)
    made = {op.out: op for op in graph.operations}
    gains: dict[str, Tensor] = {}
    changed: dict[str, Operation] = {}
    for op in graph.operations:
        if isinstance(op, Scores):
            q, k = made[op.q], made[op.k]
            own = torch.ones_like(values[op.q][0, 0])
            if isinstance(q, Linear) and isinstance(k, Linear):
                own = (_range(values[op.k]) / _range(values[op.q])).sqrt()
                changed[op.k] = _scaled(k, 1 / own)
                gains[op.k] = 1 / own
            gains[op.q] = own * math.log2(math.e)
            changed[op.q] = _scaled(q, gains[op.q])
        elif isinstance(op, Context):
            v, (behind,) = made[op.v], graph.consumers(op.out)
            if isinstance(v, Linear) and isinstance(behind, Linear):
                own = 1 / _range(values[op.out])
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


def _range(x: Tensor) -> Tensor:
    """Of each channel of (n, tokens, channels)."""
    found = x.abs().flatten(0, 1).quantile(1 - _OUTSIDE, dim=0) if x.numel() < 2**24 else x.abs().amax((0, 1))
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
