"""Multiplication: by a constant it is shift-and-add, of two signals a multiplier."""

from __future__ import annotations

from typing import Any

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, finite_product


class Mul(Operator):
    """``a*b``."""

    name = "mul"
    arity = (2, 2)
    examples = ("x*tanh(x)", "-0.75*x")

    def torch(self, *args: Any) -> Any:
        return args[0] * args[1]

    def numpy(self, *args: Any) -> Any:
        return args[0] * args[1]

    def interval(self, *args: Interval) -> Interval:
        corners = [finite_product(a, b) for a in args[0] for b in args[1]]
        return min(corners), max(corners)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        (a, b), (c, d) = args
        return max(-c, d), max(-a, b)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        a, b = args
        if isinstance(a, (int, float)):
            a, b = b, a
        assert not isinstance(a, (int, float))
        if isinstance(b, (int, float)):
            return build.scale(a, b)
        return build.trim(build.mul(build.trim(a), build.trim(b)))
