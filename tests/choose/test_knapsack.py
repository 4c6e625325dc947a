"""The exact choice of one candidate a layer, held against trying all; what decides where they are equal."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnorm.choose.knapsack import Selection, front, rounded, select, total

LAYER = st.lists(st.tuples(st.integers(0, 60), st.integers(-400, 4000)), min_size=1, max_size=5)
PROBLEM = st.lists(LAYER, min_size=1, max_size=5)


def split(problem: list[list[tuple[int, int]]]) -> tuple[list[list[float]], list[list[float]]]:
    areas = [[float(area) for area, _ in layer] for layer in problem]
    # Losses as they are in a network: small ones.
    losses = [[loss * 1e-6 for _, loss in layer] for layer in problem]
    return areas, losses


def every(areas: list[list[float]], losses: list[list[float]]) -> list[Selection]:
    return [total(areas, losses, picks) for picks in product(*(range(len(layer)) for layer in areas))]


@settings(deadline=None, max_examples=40)
@given(problem=PROBLEM, limit=st.integers(0, 200))
def test_select_is_as_good_as_trying_all(problem, limit):
    """Under a limit of area, and of loss: the optimum of all selections, or None where none keeps it."""
    areas, losses = split(problem)
    everything = every(areas, losses)
    best = min((s.loss for s in everything if s.area <= limit), default=None)
    found = select(areas, losses, most_area=float(limit))
    if best is None:
        assert found is None
    else:
        assert found is not None
        assert found.area <= limit
        assert found.loss == pytest.approx(best, abs=1e-9)
    most_loss = limit * 1e-5 + 1e-9
    least = min((s.area for s in everything if s.loss <= most_loss), default=None)
    found = select(areas, losses, most_loss=most_loss)
    assert (found and found.area) == least


@settings(deadline=None, max_examples=60)
@given(problem=PROBLEM)
def test_front_misses_none(problem):
    """Each selection of all is matched or beaten by one of the front, whose points do not beat each other."""
    areas, losses = split(problem)
    found = front(areas, losses)
    assert [s.area for s in found] == sorted({s.area for s in found})
    assert [s.loss for s in found] == sorted({s.loss for s in found}, reverse=True)
    for s in found:
        assert total(areas, losses, s.picks).area == pytest.approx(s.area)
    for other in every(areas, losses):
        assert any(s.area <= other.area and s.loss <= other.loss + 1e-12 for s in found)


def test_a_hollow_of_the_convex_hull_is_reached():
    """What no trade-off weight finds, and what taking the best bargain first misses."""
    areas, losses = [[0.0, 6.0, 10.0]], [[1.0, 0.9, 0.0]]
    found = select(areas, losses, most_area=7.0)
    assert found is not None
    assert found.picks == (1,)
    # The best bargain (10 for 5, then nothing fits) is beaten by two others.
    areas, losses = [[0.0, 6.0], [0.0, 5.0], [0.0, 5.0]], [[8.0, 0.0], [6.0, 0.0], [6.0, 0.0]]
    found = select(areas, losses, most_area=10.0)
    assert found is not None
    assert found.picks == (0, 1, 1)


def test_of_equal_losses_the_smallest_area():
    """A candidate that is larger and no better is not taken."""
    found = select([[9.0, 4.0, 7.0]], [[0.5, 0.5, 0.5]])
    assert found is not None
    assert found.picks == (1,)


def test_of_equal_ones_the_fewest_kernels_then_the_first():
    """Area and loss alike: one kernel rather than two; the lower index, in the first layer first."""
    areas, losses = [[0.0, 2.0, 4.0], [0.0, 2.0, 4.0]], [[0.2, 0.1, 0.0], [0.2, 0.1, 0.0]]
    found = select(areas, losses, most_area=4.0)
    assert found is not None
    assert found.picks == (0, 2)
    found = select([[3.0, 3.0]], [[0.1, 0.1]])
    assert found is not None
    assert found.picks == (0,)


@settings(deadline=None, max_examples=60)
@given(problem=PROBLEM, seed=st.integers(0, 1000))
def test_what_is_far_below_the_step_decides_nothing(problem, seed):
    """Losses in units of a step, disturbed by far less: the same front, to the last digit."""
    areas = [[float(area) for area, _ in layer] for layer in problem]
    losses = [[loss * 1e-4 for _, loss in layer] for layer in problem]
    noise = random.Random(seed)
    disturbed = [[loss * (1 + noise.uniform(-1e-6, 1e-6)) for loss in layer] for layer in losses]
    exact, other = ([rounded(layer, 1e-4) for layer in of] for of in (losses, disturbed))
    assert front(areas, exact) == front(areas, other)
