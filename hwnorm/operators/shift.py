"""Multiplication by a power of two: wiring."""

from __future__ import annotations

from typing import Any

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_number, as_signal

#: The farthest shift: no signal is twice as wide.
_FARTHEST = 32


class Shift(Operator):
    """``shift(x, k)``: x times 2**k, k a whole number of either sign."""

    name = "shift"
    arity = (2, 2)
    examples = ("shift(x, 2)", "shift(x, -3)", "shift(tanh(x), 1)")
    constant_arguments = frozenset({1})

    def torch(self, *args: Any) -> Any:
        return args[0] * 2.0 ** args[1]

    def numpy(self, *args: Any) -> Any:
        return args[0] * 2.0 ** args[1]

    def interval(self, *args: Interval) -> Interval:
        (low, high), (places, _) = args
        return low * 2.0**places, high * 2.0**places

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return float(2.0 ** args[1][0]), 0.0

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.trim(build.shift(as_signal(build, args[0]), int(as_number(args[1]))))

    def check(self, *args: float | None) -> str | None:
        places = args[1]
        if places is not None and not (places == int(places) and abs(places) <= _FARTHEST):
            return f"shift's places are {places:g}; a whole number from -{_FARTHEST} to {_FARTHEST} is needed"
        return None
