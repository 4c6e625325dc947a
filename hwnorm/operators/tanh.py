"""Hyperbolic tangent."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction


class Tanh(TableFunction):
    """``tanh(x)``."""

    name = "tanh"
    examples = ("tanh(x)", "2.5*tanh(0.75*x) + 0.25")

    def torch(self, *args: Any) -> Any:
        return args[0].tanh()

    def numpy(self, *args: Any) -> Any:
        return np.tanh(args[0])

    def interval(self, *args: Interval) -> Interval:
        return float(np.tanh(args[0][0])), float(np.tanh(args[0][1]))

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low, high = args[0]
        nearest = max(0.0, low, -high)
        return (float(1.0 - np.tanh(nearest) ** 2),)
