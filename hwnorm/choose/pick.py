"""Which point of a front to build."""

from __future__ import annotations

from hwnorm.search.front import Point
from hwnorm.search.layer import Front


def pick(front: Front, within: float) -> Point:
    """The cheapest point whose bit-true R2 is within ``within`` of the ceiling.

    Where none comes so near, the one of the best bit-true R2.
    """
    near = [p for p in front.points if p.r2_bit_true >= front.ceiling_r2 - within]
    if near:
        return min(near, key=lambda p: p.cost)
    return max(front.points, key=lambda p: p.r2_bit_true)
