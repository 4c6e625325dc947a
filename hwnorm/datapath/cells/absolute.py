"""Magnitude."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import (
    Bounded,
    CellDefinition,
    Netlist,
    Operation,
    Range,
    Readers,
    VerilogCell,
)
from hwnorm.datapath.cells.bits import Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Absolute(CellDefinition):
    """``|a|``, exact."""

    cell = Cell.ABS

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return np.abs(args[0])

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        (a,) = args
        return max(0, a.low, -a.high), max(-a.low, a.high)

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("magnitude", (node.fmt.width,))]

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        width, sign = node.fmt.width, args[0][-1]
        return net.chain(i, node.stage, extended(args[0], 0, width), [sign] * width)

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        turned = [bit for (bit,) in read.columns(i, extended(args[0], 0, node.fmt.width))]
        read.signal([args[0][-1]], node.stage)
        read.sum(turned, node.stage)
        yield "magnitude", (len(turned),)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"|{args[0]}|"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        return super().verilog(cell) | {"sign": cell.sign(cell.args[0])}
