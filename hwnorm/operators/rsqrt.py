"""One over the square root."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction, outside_domain


class Rsqrt(TableFunction):
    """``rsqrt(x)``, x positive."""

    name = "rsqrt"
    examples = ("rsqrt(abs(x) + 0.5)", "x*rsqrt(square(x) + 1)")

    def torch(self, *args: Any) -> Any:
        return args[0].rsqrt()

    def numpy(self, *args: Any) -> Any:
        return np.divide(1.0, np.sqrt(args[0]))

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        if not low > 0:
            raise outside_domain("rsqrt", args[0], "be positive")
        return 1.0 / math.sqrt(high), 1.0 / math.sqrt(low)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low = args[0][0]
        return (0.5 / math.sqrt(low) / low if low > 0 else math.inf,)
