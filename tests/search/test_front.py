"""Fronts: nothing dominated on them, nothing lost, and their hypervolume."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.search.front import Point, front_of, hypervolume, non_dominated

SIDE = 12
places = st.lists(st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)), max_size=20)


def covers(a, b) -> bool:
    """Whether a is at least as good as b in both."""
    return a[0] <= b[0] and a[1] <= b[1]


@given(places)
def test_the_front_is_the_non_dominated_points(points):
    """No kept point is beaten or equalled by another; for every given point one kept is as good."""
    kept = non_dominated((error, cost, (error, cost)) for error, cost in points)
    assert set(kept) <= set(points)
    assert not any(covers(a, b) for a, b in product(kept, kept) if a is not b)
    assert all(any(covers(a, b) for a in kept) for b in points)
    assert kept == sorted(kept, key=lambda point: point[1])


few = st.integers(0, 3)


@st.composite
def functions(draw) -> Point:
    """A function of which only what a front is made by matters."""
    lut, other = draw(few), draw(few)
    return Point(
        expression=draw(st.sampled_from("abcdef")),
        r2=0.0,
        r2_bit_true=draw(few) / 4,
        tail=0.0,
        error=draw(few) / 4,
        lut=lut,
        ff=0,
        dsp=0,
        latency=1,
        max_error_ulp=0.5,
        cost=float(lut + other),
    )


@given(st.lists(functions(), max_size=12))
def test_fronts_of_functions_lose_nothing(points):
    """In error, R2, cost and LUTs at once: no function kept is beaten or equalled, and each given one is."""

    def as_good(a: Point, b: Point) -> bool:
        return a.error <= b.error and a.r2_bit_true >= b.r2_bit_true and a.cost <= b.cost and a.lut <= b.lut

    kept = front_of(points)
    assert not any(as_good(a, b) for i, a in enumerate(kept) for j, b in enumerate(kept) if i != j)
    assert all(any(as_good(a, b) for a in kept) for b in points)
    worst = 1.0, 4.0
    both = [[(1 - p.r2_bit_true, float(p.lut)) for p in those] for those in (kept, points)]
    assert hypervolume(both[0], worst) == hypervolume(both[1], worst)


@given(places)
def test_hypervolume_counts_the_covered_squares(points):
    """On integer places the volume is the number of unit squares that some point covers."""
    squares = sum(any(covers(point, at) for point in points) for at in product(range(SIDE), repeat=2))
    assert hypervolume([(float(e), float(c)) for e, c in points], (SIDE, SIDE)) == squares


@given(places, places)
def test_hypervolume_never_falls_with_more_points(points, more):
    """More points cover no less, and the front covers as much as all of them."""
    worst = float(SIDE), float(SIDE)
    assert hypervolume(points + more, worst) >= hypervolume(points, worst)
    front = non_dominated((e, c, (e, c)) for e, c in points)
    assert hypervolume(front, worst) == hypervolume(points, worst)


@pytest.mark.parametrize("point", [(1.0, 0.0), (2.0, 0.5), (0.5, 9.0)])
def test_points_beyond_the_corner_count_nothing(point):
    """What is worse than the corner in either has no volume."""
    assert hypervolume([point], (1.0, 9.0)) == 0.0
