"""The smaller of two signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import Bounded, Range, aligned, aligned_codes
from hwnorm.datapath.cells.limits import Limit
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Minimum(Limit):
    """The smaller of a and b."""

    cell = Cell.MIN
    relation = "<"

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return np.minimum(*aligned_codes(args, formats))

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        (a_low, a_high), (b_low, b_high) = aligned(args)
        return min(a_low, b_low), min(a_high, b_high)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        return f"the smaller of {args[0]} and {args[1]}"
