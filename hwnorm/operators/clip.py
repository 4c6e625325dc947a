"""clip(x, c) limits x to -c..c."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Clip(Operator):
    """``clip(x, c)``, c a positive number."""

    name = "clip"
    arity = (2, 2)
    constant_arguments = frozenset({1})

    def torch(self, *args: Any) -> Any:
        return args[0].clamp(-args[1], args[1])

    def numpy(self, *args: Any) -> Any:
        return np.clip(args[0], -args[1], args[1])

    def interval(self, *args: Interval) -> Interval:
        (low, high), (limit, _) = args
        return min(max(low, -limit), limit), min(max(high, -limit), limit)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return 1.0, 1.0

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        limit = args[1]
        assert isinstance(limit, (int, float))
        below = build.min(as_signal(build, args[0]), build.constant(limit))
        return build.max(below, build.constant(-limit))

    def check(self, *args: float | None) -> str | None:
        limit = args[1]
        if limit is not None and limit <= 0:
            return f"clip's limit is {limit:g}; it must be positive"
        return None
