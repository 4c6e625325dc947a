"""Fronts: nothing dominated on them, nothing lost, and their hypervolume."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.search.front import hypervolume, non_dominated

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
