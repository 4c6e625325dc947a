"""Slices of a graph: which of its channels belong together, and a part of each group as a view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hwnorm.errors import InputError
from hwnorm.graph.graph import IMAGES, Graph
from hwnorm.graph.operations import (
    Add,
    Affine,
    Context,
    Embed,
    Function,
    Linear,
    Norm,
    Operation,
    Patches,
    Pool,
    Scores,
    Softmax,
)
from hwnorm.supernet.space import Subnet

#: The group of the residual stream's channels. Others are called after a block: ``"heads"`` are its heads'
#: channels, ``"units"`` those between the two layers of its MLP.
STREAM = "stream"


def block_of(name: str) -> int | None:
    """The block that an operation or a layer lies in, by its name; None outside of all."""
    first, _, rest = name.partition(".")
    return int(rest.partition(".")[0]) if first == "blocks" else None


def heads_of(block: int) -> str:
    """The group of a block's heads: channels of q, k, v and the context."""
    return f"heads.{block}"


def units_of(block: int) -> str:
    """The group of the units of a block's MLP."""
    return f"units.{block}"


@dataclass(frozen=True)
class Groups:
    """Which channels of a network go together.

    Attributes:
        of: the group of each tensor's channels; None of what no subnet has less of (images, logits).
        sizes: channels of each group in the whole network.
        head_dim: channels of a head.
        joined: the linear layer whose output a sum (or the first of the stream) takes in.
    """

    of: Mapping[str, str | None]
    sizes: Mapping[str, int]
    head_dim: int
    joined: Mapping[str, str]

    @classmethod
    def read(cls, graph: Graph) -> Groups:
        """The groups of a vision transformer.

        Raises:
            InputError: one whose queries and keys are normed, which has no slices here.
        """
        of: dict[str, str | None] = {IMAGES: None}
        sizes: dict[str, int] = {}
        dims = set()
        for op in graph.operations:
            block = block_of(op.out)
            match op:
                case Embed() | Add():
                    if any(of[name] != STREAM for name in op.reads):
                        raise InputError(f"operation {op.out!r}: reads a norm before the stream; no slices")
                    of[op.out] = STREAM
                case Linear():
                    readers = graph.consumers(op.out)
                    if any(isinstance(reader, Add | Embed) for reader in readers):
                        of[op.out] = STREAM
                    elif block is None:
                        of[op.out] = None
                    elif any(isinstance(reader, Scores | Context) for reader in readers):
                        of[op.out] = heads_of(block)
                    elif op.layer.endswith("qkv"):
                        raise InputError(f"layer {op.layer!r}: its queries and keys are normed; no slices")
                    else:
                        of[op.out] = units_of(block)
                    group = of[op.out]
                    if group is not None:
                        sizes[group] = len(op.weight)
                case Scores():
                    of[op.out] = None
                    group = of[op.q]
                    assert group is not None
                    dims.add(sizes[group] // op.heads)
                case Context():
                    of[op.out] = of[op.v]
                case Softmax() | Patches():
                    of[op.out] = None
                case _:
                    of[op.out] = of[op.reads[0]]
        if len(dims) != 1:
            raise InputError("model: its heads are not all of one size; no slices")
        joined = {op.out: op.x for op in graph.operations if isinstance(op, Add | Embed)}
        return cls(of, sizes, dims.pop(), joined)

    def count(self, group: str | None, subnet: Subnet) -> int | None:
        """Channels that a subnet has of a group; None: all."""
        if group is None:
            return None
        if group == STREAM:
            return subnet.width
        kind, _, number = group.partition(".")
        block = subnet.blocks[int(number)]
        assert block is not None
        return block.heads * self.head_dim if kind == "heads" else block.units


def view(graph: Graph, groups: Groups, subnet: Subnet) -> Graph:
    """The operations of a subnet: the first channels of each group. Weights are views of the graph's.

    A block that is left out hands the stream on as it is.
    """
    stands: dict[str, str] = {}
    found = []
    for op in graph.operations:
        block = block_of(op.out)
        if block is not None and subnet.blocks[block] is None:
            if isinstance(op, Add):
                stands[op.out] = stands.get(op.stream, op.stream)
            continue
        found.append(_renamed(_part(op, groups, subnet), stands))
    return Graph(tuple(found))


def _part(op: Operation, groups: Groups, subnet: Subnet) -> Operation:
    rows = groups.count(groups.of[op.out], subnet)
    match op:
        case Linear():
            columns = groups.count(groups.of[op.x], subnet)
            return replace(op, weight=op.weight[:rows, :columns], bias=op.bias[:rows])
        case Embed():
            return replace(op, table=op.table[:, :rows])
        case Norm() | Affine():
            return replace(op, weight=op.weight[:rows], bias=op.bias[:rows])
        case Scores():
            channels = groups.count(groups.of[op.q], subnet)
            assert channels is not None
            return replace(op, heads=channels // groups.head_dim)
        case Context():
            assert rows is not None
            return replace(op, heads=rows // groups.head_dim)
        case _:
            return op


def _renamed(op: Operation, stands: Mapping[str, str]) -> Operation:
    """The same, reading what stands for the stream behind a block that is left out."""
    match op:
        case Add(stream=name) if name in stands:
            return replace(op, stream=stands[name])
        case Function(x=name) | Norm(x=name) | Linear(x=name) | Affine(x=name) | Pool(x=name) if (
            name in stands
        ):
            return replace(op, x=stands[name])
        case _:
            return op


def reordered(graph: Graph, groups: Groups, orders: Mapping[str, Tensor]) -> Graph:
    """The same network with the channels of groups in other orders.

    Args:
        orders: int64 (channels,) by group, the places in the graph of what comes first; heads are whole.
    """

    def order(group: str | None, count: int) -> Tensor:
        return orders[group] if group is not None and group in orders else torch.arange(count)

    found: list[Operation] = []
    for op in graph.operations:
        match op:
            case Linear():
                rows, columns = (
                    order(groups.of[name], count)
                    for name, count in zip((op.out, op.x), op.weight.shape, strict=True)
                )
                op = replace(op, weight=op.weight[rows][:, columns].contiguous(), bias=op.bias[rows])
            case Embed():
                op = replace(op, table=op.table[:, order(groups.of[op.out], op.table.shape[1])])
            case Norm() | Affine():
                channels = order(groups.of[op.out], len(op.weight))
                op = replace(op, weight=op.weight[channels], bias=op.bias[channels])
            case _:
                pass
        found.append(op)
    return Graph(tuple(found))
