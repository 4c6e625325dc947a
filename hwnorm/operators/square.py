"""The square of a signal."""

from __future__ import annotations

from typing import Any

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Square(Operator):
    """``square(x)``."""

    name = "square"
    arity = (1, 1)
    examples = ("square(x)", "square(0.5*x)")

    def torch(self, *args: Any) -> Any:
        return args[0].square()

    def numpy(self, *args: Any) -> Any:
        return args[0] * args[0]

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        least = max(0.0, low, -high)
        most = max(-low, high)
        return least * least, most * most

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low, high = args[0]
        return (2.0 * max(-low, high),)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        a = build.trim(as_signal(build, args[0]))
        return build.trim(build.mul(a, a))
