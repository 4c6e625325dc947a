"""Hyperbolic tangent: odd, so half a table of line segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Tanh(Operator):
    """``tanh(x)``."""

    name = "tanh"
    arity = (1, 1)

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

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.function(as_signal(build, args[0]), self)
