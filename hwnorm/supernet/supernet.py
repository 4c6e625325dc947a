"""The supernet: one network whose channels are in the order of their worth, and its subnets as views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import Add, Linear, Operation
from hwnorm.integers import rows
from hwnorm.network.output_loss import OutputLoss
from hwnorm.network.ridge import with_ones
from hwnorm.supernet.importance import channel_orders, sensitivity, wide_order
from hwnorm.supernet.slices import Groups, block_of, reordered, view
from hwnorm.supernet.space import Subnet
from hwnorm.threads import in_threads

#: 8-bit rows of a layer come in multiples of it.
ROW_STEP = 4
_KINDS = ("channels", "wide", "tokens")
#: Images that are worked on together.
_TOGETHER = 64


@dataclass(frozen=True, eq=False)
class Ordering:
    """What is given up first, from what the output of the whole network makes of it.

    Attributes:
        channels: int64 (channels,) by group: places in the network, the most worth first.
        wide: int64 (rows,) by linear layer: its rows, as the ordered network has them, those that need 8 bits
            most first.
        tokens: what each token weighs in a fit, as :class:`hwnorm.supernet.importance.Sensitivity` has it.
    """

    channels: Mapping[str, Tensor]
    wide: Mapping[str, Tensor]
    tokens: Mapping[str, Tensor]

    @classmethod
    def of(cls, graph: Graph, teacher: Graph, images: Tensor, loss: OutputLoss) -> Ordering:
        """Of a network and its original.

        Args:
            images: training images (n, C, H, W).
            loss: of the output.

        Raises:
            InputError: a network that has no slices (:meth:`Groups.read`).
        """
        groups = Groups.read(graph)
        found = sensitivity(teacher, images, loss)
        grams = _grams(graph, images)
        orders = channel_orders(graph, groups, grams, found)

        def ordered(matrix: Tensor, name: str) -> Tensor:
            order = orders.get(groups.of[name] or "", torch.arange(len(matrix)))
            return matrix[order][:, order]

        wide = {
            op.out: wide_order(op, ordered(grams[op.x], op.x), ordered(found.channels[op.out], op.out))
            for op in reordered(graph, groups, orders).linears
        }
        return cls(orders, wide, found.tokens)

    def tensors(self) -> dict[str, Tensor]:
        """For a file: every tensor under the name of its kind and its own."""
        return {
            f"{kind}/{name}": value.contiguous()
            for kind in _KINDS
            for name, value in getattr(self, kind).items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Ordering:
        """The inverse of :meth:`tensors`."""
        kinds: dict[str, dict[str, Tensor]] = {kind: {} for kind in _KINDS}
        for name, value in tensors.items():
            kind, _, own = name.partition("/")
            kinds[kind][own] = value
        return cls(**kinds)


@dataclass(frozen=True, eq=False)
class Supernet:
    """One network and the original that it stands for, the channels of both in the order of their worth.

    Attributes:
        graph: the network, with functions in the places of norms.
        teacher: the original; its tensors have the same names.
        groups: which channels go together.
        scales: float (channels,) by :func:`scale_name`: what the outputs of a projection into the stream are
            multiplied by where it reads so many channels.
        trained: whether its subnets are what they are meant to be as they stand; else they are fitted.
    """

    graph: Graph
    teacher: Graph
    groups: Groups
    ordering: Ordering
    scales: Mapping[str, Tensor] = field(default_factory=dict)
    trained: bool = False

    @classmethod
    def of(cls, graph: Graph, teacher: Graph, ordering: Ordering) -> Supernet:
        """A network and its original with their channels in an order."""
        # The original has norms where the network has lines that folded.
        student, original = (
            reordered(each, Groups.read(each), ordering.channels) for each in (graph, teacher)
        )
        return cls(student, original, Groups.read(graph), ordering)

    def view(self, subnet: Subnet) -> Graph:
        """The operations of a subnet; its weights are views of the supernet's, or scaled ones."""
        return Graph(tuple(self._scaled(op) for op in view(self.graph, self.groups, subnet).operations))

    def _scaled(self, op: Operation) -> Operation:
        scale = self.scales.get(scale_name(op)) if isinstance(op, Linear) else None
        if scale is None:
            return op
        assert isinstance(op, Linear)
        scale = scale[: len(op.weight)]
        return replace(op, weight=op.weight * scale[:, None], bias=op.bias * scale)

    @cached_property
    def ends(self) -> dict[int, str]:
        """The stream behind each block."""
        return {
            number: op.out
            for op in self.graph.operations
            if isinstance(op, Add) and (number := block_of(op.out)) is not None
        }

    def bits(self, subnet: Subnet) -> dict[str, npt.NDArray[np.uint8]]:
        """Of each row of each linear layer of a subnet, by its place among those that need 8 bits most.

        What lies in no block, the first layer and the head, has 8 bits.
        """
        found = {}
        for op in self.view(subnet).linears:
            count, number = len(op.weight), block_of(op.out)
            bits = np.full(count, rows.WIDE, dtype=np.uint8)
            if number is not None:
                block = subnet.blocks[number]
                assert block is not None
                order = self.ordering.wide[op.out].numpy()
                kept = order[order < count]
                bits[kept[rows.layer_count(count, block.ratio8, ROW_STEP) :]] = rows.NARROW
            found[op.out] = bits
        return found


def scale_name(op: Linear) -> str:
    """What a projection's scale is called: its output, and how many channels it reads."""
    return f"{op.out}/{op.weight.shape[1]}"


def _grams(graph: Graph, images: Tensor) -> dict[str, Tensor]:
    """The mean of x x^T over tokens, means taken off, of what each linear layer reads: by its tensor."""
    names = {op.x for op in graph.linears}

    @torch.no_grad()
    def part(some: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for op, values in graph.walk(some):
            for name in {read for read in (*op.reads, op.out) if read in names} - found.keys():
                flat = with_ones(values[name].flatten(0, -2))
                found[name] = (flat.T @ flat).double()
        return found

    total: dict[str, Tensor] = {}
    for found in in_threads(part, torch.split(images, _TOGETHER)):
        for name, gram in found.items():
            total[name] = total[name] + gram if name in total else gram
    centred = {}
    for name, gram in total.items():
        count = gram[-1, -1]
        mean = gram[-1, :-1] / count
        centred[name] = gram[:-1, :-1] / count - torch.outer(mean, mean)
    return centred
