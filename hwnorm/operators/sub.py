"""Subtraction of two signals."""

from __future__ import annotations

from typing import Any

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Sub(Operator):
    """``a - b``."""

    name = "sub"
    arity = (2, 2)
    examples = ("x - tanh(x)", "1.5 - x")

    def torch(self, *args: Any) -> Any:
        return args[0] - args[1]

    def numpy(self, *args: Any) -> Any:
        return args[0] - args[1]

    def interval(self, *args: Interval) -> Interval:
        (a, b), (c, d) = args
        return a - d, b - c

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return 1.0, 1.0

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.sub(as_signal(build, args[0]), as_signal(build, args[1]))
