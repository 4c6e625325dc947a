"""Addition of two signals, or of a constant."""

from __future__ import annotations

from typing import Any

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Add(Operator):
    """``a + b``."""

    name = "add"
    arity = (2, 2)
    examples = ("x + tanh(x)", "x + 0.75")

    def torch(self, *args: Any) -> Any:
        return args[0] + args[1]

    def numpy(self, *args: Any) -> Any:
        return args[0] + args[1]

    def interval(self, *args: Interval) -> Interval:
        (a, b), (c, d) = args
        return a + c, b + d

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return 1.0, 1.0

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.add(as_signal(build, args[0]), as_signal(build, args[1]))
