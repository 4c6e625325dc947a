"""The searches: repeatable, within their count, their fronts dominated by nothing they have seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supernet.small_supernets import SPACE, count_of

from hwnorm.supernet.search import Method, Score, Search, front_of, volume
from hwnorm.supernet.space import Space, Subnet

METHODS: tuple[Method, ...] = get_args(Method)


def size_of(subnet: Subnet) -> int:
    blocks = [block for block in subnet.blocks if block is not None]
    return subnet.width * sum(block.heads * 12 + 2 * block.units for block in blocks)


def scored(subnets: Sequence[Subnet]) -> list[Score | None]:
    """Cycles grow with what there is; the first blocks matter most, so that uniform ones are not the best."""
    found: list[Score | None] = []
    for subnet in subnets:
        worth = sum(
            (block.heads / 2 + block.units / 96 + block.ratio8) * 4.0**-i
            for i, block in enumerate(subnet.blocks)
            if block is not None
        )
        cycles = size_of(subnet) + 100 * sum(b.ratio8 > 0 for b in subnet.blocks if b is not None)
        found.append(Score(10 / (1 + worth) + 5 / subnet.width, None, cycles, 0, 0, ""))
    return found


def run(method: Method, seed: int = 0, count: int = 120, space: Space = SPACE, **changes: int) -> Search:
    search = Search(space, scored, seed=seed, population=16, count=count, **changes)
    search.run(method)
    return search


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_asks_for_the_same_subnets(method: Method) -> None:
    first, again, other = run(method, 1), run(method, 1), run(method, 2)
    assert list(first.scores) == list(again.scores)
    assert list(first.scores) != list(other.scores)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), method=st.sampled_from(METHODS), count=st.integers(4, 90))
def test_no_more_is_scored_than_was_asked_for(seed: int, method: Method, count: int) -> None:
    asked: list[Subnet] = []

    def scorer(subnets: Sequence[Subnet]) -> list[Score | None]:
        asked.extend(subnets)
        return scored(subnets)

    search = Search(SPACE, scorer, seed=seed, population=16, count=count)
    search.run(method)
    assert len(asked) == len(set(asked)) == len(search.scores) <= count
    assert len(asked) == min(count, count_of(SPACE)) or method == "uniform"


@given(seed=st.integers(0, 50))
def test_the_front_holds_no_dominated_point(seed: int) -> None:
    search = run("random", seed, 40)
    points = [(score.loss, score.cycles) for _, score in search.front]
    every = [(s.loss, s.cycles) for s in search.scores.values() if s is not None]
    for loss, cycles in points:
        assert not any((a <= loss and b <= cycles) and (a < loss or b < cycles) for a, b in every)
    assert points == sorted(points, key=lambda point: point[1])


@pytest.mark.parametrize("seed", range(5))
def test_evolution_is_ahead_of_the_others(seed: int) -> None:
    """By the hypervolume of loss and cycles, at equal numbers of subnets."""
    runs = {method: run(method, seed, 200) for method in METHODS}
    worst = max(s.loss for r in runs.values() for s in r.scores.values() if s), 30_000.0
    volumes = {method: volume(r.scores.values(), worst) for method, r in runs.items()}
    assert max(volumes, key=lambda method: volumes[method]) == "nsga2"


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_of_cycles_is_kept(method: Method) -> None:
    limit = size_of(SPACE.largest) // 2
    search = run(method, cycles=limit)
    assert search.front
    assert all(score.cycles <= limit for _, score in search.front)


@pytest.mark.parametrize("method", METHODS)
def test_a_space_where_nothing_runs_comes_to_an_end(method: Method) -> None:
    search = Search(SPACE, lambda subnets: [None] * len(subnets), seed=0, population=8, count=40)
    assert set(search.run(method).values()) == {None}
    assert front_of(search.scores) == []


@pytest.mark.parametrize("method", METHODS)
def test_a_space_that_is_exhausted_comes_to_an_end(method: Method) -> None:
    space = Space((12, 24), (3,), (1,), (1.0,), (0.0,), (0, 1, 2))
    search = run(method, space=space, count=50)
    assert len(search.scores) == count_of(space) == 2


def test_the_volume_is_that_of_the_box_below_the_corner() -> None:
    one = Score(0.5, None, 25, 0, 0, "")
    assert volume([one], (1.0, 100.0)) == pytest.approx(0.5 * 0.75)
    assert volume([one, None, one], (1.0, 100.0)) == pytest.approx(0.5 * 0.75)
