"""A constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Netlist, Operation, Range, VerilogCell
from hwnorm.datapath.cells.bits import Bits
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Constant(CellDefinition):
    """The code ``parameter``."""

    cell = Cell.CONSTANT
    arity = 0
    late = True

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return np.int64(node.parameter)

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return None

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return node.parameter, node.parameter

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return []

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        return [(node.parameter >> place) & 1 for place in range(node.fmt.width)]

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"{node.parameter * 2.0**-node.fmt.frac:g}"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        return {"code": cell.node.parameter}
