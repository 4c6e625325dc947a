"""Fronts: the non-dominated functions of a layer, and their hypervolume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """One function of a front, with its lowered datapath's figures.

    ``r2_bit_true`` is that of the integers the hardware computes, ``error`` is 1 - ``r2_bit_true`` +
    ``tail``; ``cost`` is in LUT-equivalents, by the target's weights. ``family`` is ``evolved``, or the
    rival family that it is of.
    """

    expression: str
    r2: float
    r2_bit_true: float
    tail: float
    error: float
    lut: int
    ff: int
    dsp: int
    latency: int
    max_error_ulp: float
    cost: float
    family: str = "evolved"


def knee(points: Sequence[tuple[float, float]]) -> int:
    """The place of the knee of a front: the point farthest below the line between its ends.

    Both axes are scaled to the front's extent first. That is the point of greatest curvature as V. Satopaa et
    al. find it ("Finding a 'kneedle' in a haystack", ICDCS Workshops 2011). A front that is nowhere below
    the line has its knee at the first, cheapest point.

    Args:
        points: (cost, loss), the cheapest first.
    """
    (first, most), (last, least) = points[0], points[-1]
    if first == last or most == least:
        return 0
    below = [(most - loss) / (most - least) - (cost - first) / (last - first) for cost, loss in points]
    return max(range(len(below)), key=lambda i: (round(below[i], 12), -i))


def non_dominated(items: Iterable[tuple[float, float, T]]) -> list[T]:
    """Those (error, cost, item) that no other beats or equals in both, cheapest first."""
    kept: list[T] = []
    least = float("inf")
    for error, _, item in sorted(items, key=lambda entry: (entry[1], entry[0])):
        if error < least:
            kept.append(item)
            least = error
    return kept


def front_of(points: Iterable[Point]) -> list[Point]:
    """Those that no other equals or beats in error, R2, cost and LUTs together, cheapest first.

    So the front holds those of error against cost, and those of R2 against LUTs.
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, p.lut, p.error, -p.r2_bit_true, p.expression)):
        if not any(
            k.error <= point.error and k.lut <= point.lut and k.r2_bit_true >= point.r2_bit_true for k in kept
        ):
            kept.append(point)
    return kept


def hypervolume(points: Sequence[tuple[float, float]], worst: tuple[float, float]) -> float:
    """Area between a front of (error, cost) points and the ``worst`` corner; both are minimized."""
    total, ceiling = 0.0, worst[0]
    for error, cost in sorted(points, key=lambda p: (p[1], p[0])):
        if error < ceiling and cost < worst[1]:
            total += (ceiling - error) * (worst[1] - cost)
            ceiling = error
    return total
