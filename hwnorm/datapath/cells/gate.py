"""A signal or zero, by a bit of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Form, Netlist, Operation, Range, VerilogCell
from hwnorm.datapath.cells.bits import Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Gate(CellDefinition):
    """a where bit ``parameter`` of ``code(b)`` is set, else 0."""

    cell = Cell.GATE
    arity = 2
    late = True

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return args[0] * ((args[1] >> node.parameter) & 1)

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return min(args[0].low, 0), max(args[0].high, 0)

    def form(self, node: Node) -> Form:
        return "gates"

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("gate", (node.fmt.width,))]

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        gate = extended(args[1], -node.parameter, 1)[0]
        return [net.both(node.stage, bit, gate) for bit in extended(args[0], 0, node.fmt.width)]

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"{args[0]} * bit {node.parameter} of {args[1]}"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        return super().verilog(cell) | {"gate": cell.bits(cell.args[1], -cell.node.parameter, 1)}
