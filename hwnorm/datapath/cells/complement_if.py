"""Complement by a sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Form, Netlist, Operation, Range, VerilogCell
from hwnorm.datapath.cells.bits import Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class ComplementIf(CellDefinition):
    """The code ``~code(a)``, -a less one step, where b is negative, else a."""

    cell = Cell.COMPLEMENT_IF
    arity = 2

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return np.where(args[1] < 0, ~args[0], args[0])

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        a = args[0]
        return min(a.low, ~a.high), max(a.high, ~a.low)

    def form(self, node: Node) -> Form:
        return "gates"

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("complement", (node.fmt.width,))]

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        sign = args[1][-1]
        return [net.either(node.stage, bit, sign) for bit in extended(args[0], 0, node.fmt.width)]

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"{args[0]}, complemented where {args[1]} < 0"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        return super().verilog(cell) | {"sign": cell.sign(cell.args[1])}
