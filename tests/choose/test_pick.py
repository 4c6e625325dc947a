"""Which point of a front is built."""

from __future__ import annotations

import pytest

from hwnorm.choose.pick import pick
from hwnorm.fixed import FixedFormat
from hwnorm.search.front import Point
from hwnorm.search.layer import Front


def point(cost: float, r2_bit_true: float, r2: float = 0.9) -> Point:
    return Point("x", r2, r2_bit_true, 0.0, 1 - r2, 1, 1, 0, 1, 0.5, cost)


def front(*points: Point) -> Front:
    fmt = FixedFormat(8, 4)
    return Front("norm", fmt, fmt, "xcup", 0.95, (1.0,), points)


@pytest.mark.parametrize(("within", "cost"), [(0.0, 40.0), (0.01, 30.0), (0.05, 20.0), (1.0, 10.0)])
def test_the_cheapest_that_is_near_enough(within, cost):
    """Of those within the margin of the ceiling, the cheapest: the margin itself counts as near."""
    found = front(point(10, 0.5), point(20, 0.91), point(30, 0.945), point(40, 0.95))
    assert pick(found, within).cost == cost


def test_the_integers_decide():
    """A function whose float R2 is good but whose integers are not is passed over."""
    found = front(point(10, 0.5, r2=0.949), point(20, 0.945, r2=0.945))
    assert pick(found, 0.01).cost == 20


def test_where_none_is_near_the_best_is_taken():
    """A layer that no function fits still gets the best there is."""
    found = front(point(10, 0.5), point(20, 0.8), point(30, 0.7))
    assert pick(found, 0.01).cost == 20
