"""The exponential function."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction, outside_domain

#: Beyond it the result is no finite number any more.
_GREATEST = math.log(sys.float_info.max)


class Exp(TableFunction):
    """``exp(x)``."""

    name = "exp"
    examples = ("exp(x)", "0.75*exp(-abs(x))")

    def torch(self, *args: Any) -> Any:
        return args[0].exp()

    def numpy(self, *args: Any) -> Any:
        return np.exp(args[0])

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        if not high <= _GREATEST:
            raise outside_domain("exp", args[0], "be at most 709")
        return math.exp(low), math.exp(high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        high = args[0][1]
        return (math.exp(high) if high <= _GREATEST else math.inf,)
