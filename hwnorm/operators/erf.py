"""The error function, 2/sqrt(pi) times the integral of exp(-t*t) from 0 to x."""

from __future__ import annotations

import math
from typing import Any

from scipy import special

from hwnorm.operators.base import Interval, TableFunction


class Erf(TableFunction):
    """``erf(x)``."""

    name = "erf"
    examples = ("erf(x)", "x*erf(0.75*x)")

    def torch(self, *args: Any) -> Any:
        return args[0].erf()

    def numpy(self, *args: Any) -> Any:
        return special.erf(args[0])

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        return math.erf(low), math.erf(high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low, high = args[0]
        nearest = max(0.0, low, -high)
        return (2.0 / math.sqrt(math.pi) * math.exp(-nearest * nearest),)
