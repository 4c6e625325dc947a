"""One over x; what a division by a signal is made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction, outside_domain

#: The smallest magnitude whose reciprocal, and its slope, are finite.
_LEAST = 1e-150


class Reciprocal(TableFunction):
    """``reciprocal(x)``, x not zero; ``a / b`` is a times it."""

    name = "reciprocal"
    examples = ("reciprocal(abs(x) + 0.5)", "x/(1 + abs(x))", "reciprocal(-9 - x)")

    def torch(self, *args: Any) -> Any:
        return args[0].reciprocal()

    def numpy(self, *args: Any) -> Any:
        return np.divide(1.0, args[0])

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        if not (low >= _LEAST or high <= -_LEAST):
            raise outside_domain("reciprocal", args[0], "not hold zero")
        return 1.0 / high, 1.0 / low

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low, high = args[0]
        nearest = max(low, -high)
        return (nearest**-2.0 if nearest >= _LEAST else math.inf,)
