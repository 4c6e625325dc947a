"""A shift of the binary point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Form, Netlist, Operation, Range
from hwnorm.datapath.cells.bits import Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Shift(CellDefinition):
    """``a * 2**parameter``, wiring: the same code, another binary point."""

    cell = Cell.SHIFT
    late = True

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return args[0]

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return fracs[0] - parameter

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return args[0].low, args[0].high

    def form(self, node: Node) -> Form:
        return "wires"

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return []

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        return extended(args[0], 0, node.fmt.width)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"{args[0]} * 2**{node.parameter}, the same bits"
