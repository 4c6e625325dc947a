"""Two to the power of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction, outside_domain

#: From here on the result is no finite number any more.
_TOO_GREAT = 1024


class Exp2(TableFunction):
    """``exp2(x)``."""

    name = "exp2"
    examples = ("exp2(x)", "exp2(-abs(x) + 1.25)")

    def torch(self, *args: Any) -> Any:
        return args[0].exp2()

    def numpy(self, *args: Any) -> Any:
        return np.exp2(args[0])

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        if not high < _TOO_GREAT:
            raise outside_domain("exp2", args[0], f"be less than {_TOO_GREAT}")
        return math.exp2(low), math.exp2(high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        high = args[0][1]
        return (math.log(2.0) * math.exp2(high) if high < _TOO_GREAT else math.inf,)
