"""Absolute value."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Abs(Operator):
    """``abs(x)``."""

    name = "abs"
    arity = (1, 1)
    examples = ("abs(x)", "abs(tanh(x) - 0.25)")

    def torch(self, *args: Any) -> Any:
        return args[0].abs()

    def numpy(self, *args: Any) -> Any:
        return np.abs(args[0])

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        return max(0.0, low, -high), max(-low, high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return (1.0,)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.abs(build.trim(as_signal(build, args[0])))
