"""Square root."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction, outside_domain


class Sqrt(TableFunction):
    """``sqrt(x)``, x not negative."""

    name = "sqrt"
    examples = ("sqrt(abs(x))", "sqrt(square(x) + 0.75)")

    def torch(self, *args: Any) -> Any:
        return args[0].sqrt()

    def numpy(self, *args: Any) -> Any:
        return np.sqrt(args[0])

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        if not low >= 0:
            raise outside_domain("sqrt", args[0], "not be negative")
        return math.sqrt(low), math.sqrt(high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low = args[0][0]
        return (0.5 / math.sqrt(low) if low > 0 else math.inf,)
