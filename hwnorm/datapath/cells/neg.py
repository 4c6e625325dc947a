"""Change of sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Netlist, Operation, Range, Readers
from hwnorm.datapath.cells.bits import ONE, Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Neg(CellDefinition):
    """``-a``, exact."""

    cell = Cell.NEG

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return -args[0]

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return -args[0].high, -args[0].low

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("negate", (node.fmt.width,))]

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        width = node.fmt.width
        return net.chain(i, node.stage, extended(args[0], 0, width), [ONE] * width)

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        negated = [bit for (bit,) in read.columns(i, extended(args[0], 0, node.fmt.width))]
        read.sum(negated, node.stage)
        yield "negate", (len(negated),)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"-{args[0]}"
