"""Logistic sigmoid, 1/(1 + exp(-x)) = 1/2 + tanh(x/2)/2."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, TableFunction


class Sigmoid(TableFunction):
    """``sigmoid(x)``."""

    name = "sigmoid"
    examples = ("sigmoid(x)", "2.5*sigmoid(-1.5*x)")

    def torch(self, *args: Any) -> Any:
        return args[0].sigmoid()

    def numpy(self, *args: Any) -> Any:
        return 0.5 + 0.5 * np.tanh(0.5 * np.asarray(args[0]))

    def interval(self, *args: Interval) -> Interval:
        return float(self.numpy(args[0][0])), float(self.numpy(args[0][1]))

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return (0.25,)
