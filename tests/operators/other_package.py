"""An operator as another package would define it."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.operators.base import Interval, Operator, TableFunction


def softsign(x: Any) -> Any:
    return x / (1 + np.abs(x))


def define_softsign(**changes: Any) -> type[Operator]:
    """A new class of that operator, with other attributes where a test wants it to be wrong."""

    class Softsign(TableFunction):
        """``softsign(x)``: x / (1 + \\|x\\|)."""

        name = "softsign"
        examples = ("softsign(x)", "2*softsign(1.5*x) + 0.25")

        def torch(self, *args: Any) -> Any:
            return args[0] / (1 + args[0].abs())

        def numpy(self, *args: Any) -> Any:
            return softsign(args[0])

        def interval(self, *args: Interval) -> Interval:
            return softsign(args[0][0]), softsign(args[0][1])

        def steepness(self, *args: Interval) -> tuple[float, ...]:
            low, high = args[0]
            return (float((1 + max(0.0, low, -high)) ** -2),)

    for attribute, value in changes.items():
        setattr(Softsign, attribute, value)
    return Softsign
