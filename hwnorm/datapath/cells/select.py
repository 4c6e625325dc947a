"""A choice by a sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import (
    Bounded,
    CellDefinition,
    Form,
    Netlist,
    Operation,
    Range,
    VerilogCell,
    aligned,
    aligned_codes,
)
from hwnorm.datapath.cells.bits import Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Select(CellDefinition):
    """c where a is negative, else b; the arguments are (a, b, c)."""

    cell = Cell.SELECT
    arity = 3

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        b, c = aligned_codes(args[1:], formats[1:])
        return np.where(args[0] < 0, c, b)

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return max(fracs[1:])

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        (b_low, b_high), (c_low, c_high) = aligned(args[1:])
        return min(b_low, c_low), max(b_high, c_high)

    def form(self, node: Node) -> Form:
        return "gates"

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("mux", (node.fmt.width,))]

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        fracs = [net.nodes[a].fmt.frac for a in node.args[1:]]
        shifts = [max(fracs) - frac for frac in fracs]
        b, c = (extended(arg, shift, node.fmt.width) for arg, shift in zip(args[1:], shifts, strict=True))
        return [net.chosen(node.stage, args[0][-1], q, p) for p, q in zip(b, c, strict=True)]

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"{args[1]} where {args[0]} >= 0, else {args[2]}"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        fracs = [fmt.frac for fmt in cell.formats[1:]]
        return {
            "sign": cell.sign(cell.args[0]),
            "args": [
                cell.bits(arg, max(fracs) - frac, cell.node.fmt.width)
                for arg, frac in zip(cell.args[1:], fracs, strict=True)
            ],
        }
