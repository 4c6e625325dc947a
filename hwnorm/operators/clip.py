"""clip limits a value to an interval, -c..c or low..high."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_number, as_signal


def _limits(*args: Any) -> tuple[Any, Any]:
    """Lower and upper limit, given all arguments."""
    return (-args[1], args[1]) if len(args) == 2 else (args[1], args[2])


class Clip(Operator):
    """``clip(x, c)``, c a positive number; ``clip(x, low, high)``."""

    name = "clip"
    arity = (2, 3)
    examples = ("clip(x, 2.5)", "clip(x, -1.5, 4)", "clip(tanh(x), 0, 0.75)")
    constant_arguments = frozenset({1, 2})

    def torch(self, *args: Any) -> Any:
        return args[0].clamp(*_limits(*args))

    def numpy(self, *args: Any) -> Any:
        return np.clip(args[0], *_limits(*args))

    def interval(self, *args: Interval) -> Interval:
        low, high = _limits(args[0][0], *(c for c, _ in args[1:]))
        return min(max(args[0][0], low), high), min(max(args[0][1], low), high)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return (1.0,) * len(args)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        low, high = _limits(0.0, *(as_number(c) for c in args[1:]))
        below = build.min(build.trim(as_signal(build, args[0])), build.constant(high))
        return build.max(below, build.constant(low))

    def check(self, *args: float | None) -> str | None:
        limits = [c for c in args[1:] if c is not None]
        if len(limits) == 1 and limits[0] <= 0:
            return f"clip's limit is {limits[0]:g}; it must be positive"
        if len(limits) == 2 and limits[0] >= limits[1]:
            return f"clip's limits are {limits[0]:g} and {limits[1]:g}; the second must be the greater"
        return None
