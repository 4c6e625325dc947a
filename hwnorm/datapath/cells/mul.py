"""Multiplication."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Operation, Range, Readers, VerilogCell
from hwnorm.datapath.cells.bits import ZERO, Bits
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Mul(CellDefinition):
    """``a * b``, exact."""

    cell = Cell.MUL
    arity = 2

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return args[0] * args[1]

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return fracs[0] + fracs[1]

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        a, b = args
        corners = [p * q for p in (a.low, a.high) for q in (b.low, b.high)]
        if a.index == b.index:
            return 0 if a.low < 0 < a.high else min(a.low**2, a.high**2), max(corners)
        return min(corners), max(corners)

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [_product(node, *sorted(arg.fmt.width for arg in args))]

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        read.signal({*args[0], *args[1]}, node.stage)
        yield _product(node, *sorted(len({*arg} - {ZERO}) for arg in args))

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"{args[0]} * {args[1]}"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        # Whole signed operands, as DSP inference likes them, unless the product is cut.
        width, wide = cell.node.fmt.width, [fmt.width for fmt in cell.formats]
        cut = any(w > width for w in wide)
        return {
            "args": [cell.bits(arg, 0, width if cut else w) for arg, w in zip(cell.args, wide, strict=True)]
        }


def _product(node: Node, a: int, b: int) -> Operation:
    """The operation on factors of so many bits, the narrower one first."""
    return ("square", (a,)) if node.args[0] == node.args[1] else ("mul", (a, b))
