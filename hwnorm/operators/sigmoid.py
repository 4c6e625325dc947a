"""Logistic sigmoid, 1/2 + tanh(x/2)/2: the odd part is a table, the half is a constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


def _odd_part(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * np.tanh(0.5 * x))


class Sigmoid(Operator):
    """``sigmoid(x)``."""

    name = "sigmoid"
    arity = (1, 1)

    def torch(self, *args: Any) -> Any:
        return args[0].sigmoid()

    def numpy(self, *args: Any) -> Any:
        return 0.5 + 0.5 * np.tanh(0.5 * np.asarray(args[0]))

    def interval(self, *args: Interval) -> Interval:
        return float(self.numpy(args[0][0])), float(self.numpy(args[0][1]))

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        odd = build.piecewise_odd(as_signal(build, args[0]), _odd_part)
        return build.add(odd, build.constant(0.5))
