"""Change of sign."""

from __future__ import annotations

from typing import Any

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Neg(Operator):
    """``-x``."""

    name = "neg"
    arity = (1, 1)
    examples = ("-x", "-tanh(x)")

    def torch(self, *args: Any) -> Any:
        return -args[0]

    def numpy(self, *args: Any) -> Any:
        return -args[0]

    def interval(self, *args: Interval) -> Interval:
        return -args[0][1], -args[0][0]

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return (1.0,)

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.neg(as_signal(build, args[0]))
