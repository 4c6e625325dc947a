"""Piecewise-linear function through points of one's own choice."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from hwnorm.operators.base import (
    Bound,
    Interval,
    Lowering,
    Operand,
    Operator,
    Signal,
    as_number,
    as_signal,
)
from hwnorm.operators.lookup import look_up

#: The most segments that are read.
_MOST = 64
#: Up to so many segments each is its own shift-and-add; more go into tables, which do not grow as fast.
_SUMMED = 4


def _points(constants: Any) -> tuple[list[float], list[float]]:
    """The points' x and y, given the constant arguments."""
    return list(constants[0::2]), list(constants[1::2])


def _slopes(xs: list[float], ys: list[float]) -> list[float]:
    """One a segment."""
    return [(d - c) / (b - a) for (a, b), (c, d) in zip(pairwise(xs), pairwise(ys), strict=True)]


class Pwl(Operator):
    """``pwl(x, x0, y0, x1, y1, ...)``: line segments through points of increasing x, flat outside."""

    name = "pwl"
    arity = (5, 3 + 2 * _MOST)
    examples = (
        "pwl(x, -2, -1, 3, 1.5)",
        "pwl(x, -3, 0.25, -0.7, -0.3, 0.6, 0.4, 4, 2.5)",
        "pwl(tanh(x), -0.75, 1, 0, 0, 0.75, 1)",
        "pwl(x, -6, 0, -4, 1, -2, 0, 0, -1, 2, 0, 4, 2)",
    )
    constant_arguments = frozenset(range(1, 3 + 2 * _MOST))

    def torch(self, *args: Any) -> Any:
        x = args[0]
        xs, ys = _points(args[1:])
        # Counting the points that x has reached is several times as quick as torch.bucketize.
        reached = torch.zeros_like(x, dtype=torch.uint8)
        for limit in x.new_tensor(xs).tolist():
            reached += (x.detach() >= limit).view(torch.uint8)
        segment = reached.int()
        # Before the first point and after the last one there is a flat piece each.
        slope = look_up(x.new_tensor([0.0, *_slopes(xs, ys), 0.0]), segment)
        start, value = (look_up(x.new_tensor([points[0], *points]), segment) for points in (xs, ys))
        return value + slope * (x - start)

    def numpy(self, *args: Any) -> Any:
        return np.interp(args[0], *_points(args[1:]))

    def interval(self, *args: Interval) -> Interval:
        low, high = args[0]
        xs, ys = _points([c for c, _ in args[1:]])
        reached = [y for x, y in zip(xs, ys, strict=True) if low < x < high]
        reached.extend(float(y) for y in np.interp([low, high], xs, ys))
        return min(reached), max(reached)

    def steepness(self, *args: Interval) -> tuple[float, ...]:
        low, high = args[0]
        xs, ys = _points([c for c, _ in args[1:]])
        met = [
            abs(slope)
            for slope, (a, b) in zip(_slopes(xs, ys), pairwise(xs), strict=True)
            if a <= high and b >= low
        ]
        return max(met, default=0.0), *(0.0 for _ in args[1:])

    def lower(self, build: Lowering, *args: Operand) -> Signal:
        x, constants = as_signal(build, args[0]), tuple(as_number(c) for c in args[1:])
        xs, ys = _points(constants)
        if len(xs) - 1 > _SUMMED:
            return build.function(x, Bound(self, constants))
        limited = build.max(build.min(build.trim(x), build.constant(xs[-1])), build.constant(xs[0]))
        total, before = build.constant(ys[0]), 0.0
        for start, slope in zip(xs[:-1], _slopes(xs, ys), strict=True):
            beyond = build.max(build.sub(limited, build.constant(start)), build.constant(0.0))
            total = build.add(total, build.scale(beyond, slope - before))
            before = slope
        return total

    def check(self, *args: float | None) -> str | None:
        if len(args) % 2 == 0:
            return f"pwl takes x and pairs of numbers; {len(args) - 1} numbers given"
        xs = [c for c in args[1::2] if c is not None]
        for a, b in pairwise(xs):
            if a >= b:
                return f"pwl's points stand at x = {a:g} and then {b:g}; their x must increase"
        return None
