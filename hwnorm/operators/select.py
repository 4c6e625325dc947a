"""Choice between two values by the sign of a third."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Select(Operator):
    """``select(c, a, b)``: a where c >= 0, else b."""

    name = "select"
    arity = (3, 3)
    examples = ("select(x, tanh(x), 0.25*x)", "select(x - 1.5, 1.5, x)", "select(x + 0.5, 2, -0.71)")

    def torch(self, *args: Any) -> Any:
        like = next(arg for arg in args if isinstance(arg, torch.Tensor))
        # A constant made a tensor by itself would be rounded to float32.
        c, a, b = (torch.as_tensor(arg, dtype=like.dtype, device=like.device) for arg in args)
        return torch.where(c >= 0, a, b)

    def numpy(self, *args: Any) -> Any:
        c, a, b = args
        return np.where(np.asarray(c) >= 0, a, b)

    def interval(self, *args: Interval) -> Interval:
        (low, high), a, b = args
        if low >= 0:
            return a
        return b if high < 0 else (min(a[0], b[0]), max(a[1], b[1]))

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low, high = args[0]
        return math.inf if low < 0 <= high else 0.0, 1.0, 1.0

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        c, a, b = (as_signal(build, arg) for arg in args)
        return build.select(c, a, b)
