"""The smaller of two values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal


class Min(Operator):
    """``min(a, b)``."""

    name = "min"
    arity = (2, 2)
    examples = ("min(x, tanh(x))", "min(0.5*x, -0.75)")

    def torch(self, *args: Any) -> Any:
        a, b = args
        if isinstance(b, float):
            return a.clamp_max(b)
        return b.clamp_max(a) if isinstance(a, float) else torch.minimum(a, b)

    def numpy(self, *args: Any) -> Any:
        return np.minimum(args[0], args[1])

    def interval(self, *args: Interval) -> Interval:
        (a, b), (c, d) = args
        return min(a, c), min(b, d)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        return 1.0, 1.0

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        return build.min(build.trim(as_signal(build, args[0])), build.trim(as_signal(build, args[1])))
