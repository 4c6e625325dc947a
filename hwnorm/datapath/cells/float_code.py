"""A number as exponent and mantissa."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, CellDefinition, Operation, Range, Readers, VerilogCell
from hwnorm.datapath.cells.bits import Bits
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class FloatCode(CellDefinition):
    """``code(a)`` >= 0 of ``parameter`` bits as exponent and mantissa, see :func:`float_code`."""

    cell = Cell.FLOAT_CODE
    whole = True

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return float_code(args[0], node.parameter)

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return 0

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return 0, ((node.parameter + 1) << (node.parameter - 1)) - 1

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("float", (node.parameter,))]

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        read.signal(args[0], node.stage)
        yield "float", (node.parameter,)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"exponent and mantissa of {args[0]}"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        """Shift the leading one to the top, by halves: each step tests as many bits as it may shift."""
        bits = cell.node.parameter

        def helper(role: str, width: int) -> str:
            return cell.helper(f"{cell.name}_{role}", width)

        start = helper("argument", bits)
        steps, before = [], start
        for place in reversed(range((bits - 1).bit_length())):
            step = {"places": 1 << place, "from": before, "zeros": helper(f"zeros{1 << place}", 1)}
            step["name"] = before = helper(f"shifted{1 << place}", bits)
            steps.append(step)
        return {
            "args": [cell.bits(cell.args[0], 0, bits)],
            "bits": bits,
            "start": start,
            "steps": steps,
            "exponent": helper("exponent", bits.bit_length()),
            "exponent_bits": bits.bit_length(),
        }


def float_code(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes 0 <= u < 2**bits as those of a float: the exponent above ``bits - 1`` bits of mantissa.

    The exponent is the place of the highest bit set, from 1; zero has zero. The code grows with u, and
    along a line between powers of two: equal steps of it are steps in proportion to u.
    """
    exponent = np.frexp(codes.astype(np.float64))[1].astype(np.int64)  # exact: codes have few bits
    mantissa = np.left_shift(codes, np.maximum(bits - exponent, 0)) - (1 << (bits - 1))
    return np.where(codes > 0, (exponent << (bits - 1)) + mantissa, 0)
