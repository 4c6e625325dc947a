"""Addition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, Range, aligned, aligned_codes
from hwnorm.datapath.cells.sums import Sum
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Add(Sum):
    """``a + b``, exact."""

    cell = Cell.ADD
    commutes = True

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        a, b = aligned_codes(args, formats)
        return a + b

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        (a_low, a_high), (b_low, b_high) = aligned(args)
        return a_low + b_low, a_high + b_high

    def fixed(self, args: Sequence[Node]) -> Node:
        return min(args, key=lambda a: a.fmt.frac)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"{args[0]} + {args[1]}"
