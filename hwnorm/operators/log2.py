"""Logarithm to the base 2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction, outside_domain


class Log2(TableFunction):
    """``log2(x)``, x positive."""

    name = "log2"
    examples = ("log2(abs(x) + 0.5)", "0.75*log2(x + 9)")

    def torch(self, *args: Any) -> Any:
        return args[0].log2()

    def numpy(self, *args: Any) -> Any:
        return np.log2(args[0])

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        if not low > 0:
            raise outside_domain("log2", args[0], "be positive")
        return math.log2(low), math.log2(high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low = args[0][0]
        return (1.0 / math.log(2.0) / low if low > 0 else math.inf,)
