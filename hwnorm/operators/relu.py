"""Rectifier: the positive part."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Relu(Operator):
    """``relu(x)``."""

    name = "relu"
    arity = (1, 1)
    examples = ("relu(x)", "relu(1.25 - 0.5*x)")

    def torch(self, *args: Any) -> Any:
        return args[0].relu()

    def numpy(self, *args: Any) -> Any:
        return np.maximum(args[0], 0.0)

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        return max(low, 0.0), max(high, 0.0)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return (1.0,)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.max(build.trim(as_signal(build, args[0])), build.constant(0.0))
