"""The low bits of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Form, Netlist, Operation, Range, VerilogCell
from hwnorm.datapath.cells.bits import ZERO, Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class LowBits(CellDefinition):
    """The lowest ``parameter`` bits of ``code(a)``, as an unsigned number."""

    cell = Cell.LOW_BITS

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return args[0] & ((1 << node.parameter) - 1)

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return 0, (1 << node.parameter) - 1

    def form(self, node: Node) -> Form:
        return "wires"

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return []

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        low = min(node.parameter, node.fmt.width)
        return extended(args[0], 0, low) + [ZERO] * (node.fmt.width - low)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"lowest {node.parameter} bit{'s' if node.parameter != 1 else ''} of {args[0]}"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        width = cell.node.fmt.width
        low = min(cell.node.parameter, width)
        if low == 0:
            return {"kind": "constant", "code": 0}
        return {"zeros": width - low, "args": [cell.bits(cell.args[0], 0, low)]}
