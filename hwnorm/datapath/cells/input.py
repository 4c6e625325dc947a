"""The kernel's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Netlist, Operation, Range
from hwnorm.datapath.cells.bits import ZERO, Bits
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Input(CellDefinition):
    """``x``. Its codes are given to the whole datapath; back ends know it as a port.

    Where ``parameter`` is 1 the port is unsigned: no code is negative, and the sign is no bit of it.
    """

    cell = Cell.INPUT
    arity = 0

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        raise AssertionError("the codes of x are given, not computed")

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return None

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return 0 if node.parameter else node.fmt.min_code, node.fmt.max_code

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("mux", (node.fmt.width - node.parameter,))]  # the skid buffer before it

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        bits = [net.new(0, (), i, place) for place in range(node.fmt.width - node.parameter)]
        return bits + [ZERO] * node.parameter

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return "x"
