"""Hard tanh: the identity, limited to -1..1."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Hardtanh(Operator):
    """``hardtanh(x)``."""

    name = "hardtanh"
    arity = (1, 1)
    examples = ("hardtanh(x)", "hardtanh(0.75*x + 0.5)")

    def torch(self, *args: Any) -> Any:
        return args[0].clamp(-1.0, 1.0)

    def numpy(self, *args: Any) -> Any:
        return np.clip(args[0], -1.0, 1.0)

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        return min(max(low, -1.0), 1.0), min(max(high, -1.0), 1.0)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return (1.0,)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        below = build.min(build.trim(as_signal(build, args[0])), build.constant(1.0))
        return build.max(below, build.constant(-1.0))
