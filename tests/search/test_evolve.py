"""The evolution: repeatable, resumable, never losing ground, and of the settings alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.search.evolve import WORST_CORNER, Evolution, State, random_state
from hwnorm.search.fitness import Judge
from hwnorm.search.front import hypervolume
from hwnorm.search.grammar import RNG, operators_of
from hwnorm.targets.target import load_target

FORMATS = FixedFormat(10, 6), FixedFormat(8, 5)


@pytest.fixture(scope="module")
def evolution(profile_of):
    """Of a small population, for a layer between tanh and clip."""
    profile = profile_of("1.5*tanh(x) + 0.25*clip(x, 2)", noise=0.2, points=5000)
    return Evolution(Judge(profile, FORMATS, load_target("xcup"), 250.0), 16)


def evolved(evolution: Evolution, seed: int, generations: int) -> State:
    state = evolution.begin(seed)
    for _ in range(generations):
        evolution.advance(state)
    return state


@pytest.fixture(scope="module")
def state(evolution) -> State:
    return evolved(evolution, 7, 5)


def test_same_seed_same_result(evolution, state):
    """The whole state is equal, whatever the global random stream was before."""
    RNG.seed(2)
    assert evolved(evolution, 7, 5) == state


def test_another_seed_is_another_evolution(evolution, state):
    """A different seed meets other shapes."""
    assert evolved(evolution, 8, 5).known.keys() != state.known.keys()


def test_a_kept_state_goes_on_as_if_nothing_had_been(evolution, state):
    """Stopped after two generations, through JSON text, three more: the state of five at once."""
    RNG.seed(99)
    kept = State.from_json(json.loads(json.dumps(evolved(evolution, 7, 2).to_json())))
    RNG.seed(100)
    for _ in range(3):
        evolution.advance(kept)
    assert kept == state


def test_hypervolume_never_falls(state):
    """The archive keeps what was best: one value a generation, none below the one before."""
    volumes = state.hypervolume
    assert len(volumes) == state.generation + 1 == 6
    assert volumes == sorted(volumes)
    points = [(c.error, c.cost) for c in state.archive]
    assert volumes[-1] == pytest.approx(hypervolume(points, WORST_CORNER))


def test_the_archive_is_a_front_with_the_rivals(state):
    """Cheapest first, each better than all cheaper ones; no rival beats it anywhere."""
    archive = state.archive
    assert [c.cost for c in archive] == sorted({c.cost for c in archive})
    assert [c.error for c in archive] == sorted({c.error for c in archive}, reverse=True)
    for rival in state.rivals:
        assert any(c.error <= rival.error and c.cost <= rival.cost for c in archive)


def test_nothing_is_evaluated_twice(evolution, monkeypatch):
    """The judge fits each key once, though crossover makes the same shapes again and again."""
    seen: list[str] = []
    state = evolution.begin(3)
    tuned = evolution._judge.tuned

    def counted(shape):
        seen.append(str(shape))
        return tuned(shape)

    before = len(state.known)
    monkeypatch.setattr(evolution._judge, "tuned", counted)
    for _ in range(3):
        evolution.advance(state)
    assert len(seen) == len(state.known) - before > 0


def test_the_population_is_of_different_candidates(state):
    assert len(state.people) == 16
    assert all(state.known[k] is not None for k in state.people)
    assert len(set(state.people)) > 12


def test_given_seeds_are_in_the_first_population(profile_of):
    """Functions of an earlier run begin in the population, the rest is as ever."""
    judge = Judge(profile_of("tanh(x)"), FORMATS, load_target("xcup"), 250.0)
    warm = parse("0.5*tanh(x*tanh(x*clip(x, 3))) + 1")
    cold, heated = (Evolution(judge, 16, seeds=seeds).begin(0) for seeds in ((), (warm,)))
    (new,) = set(heated.known) - set(cold.known)
    assert "clip" in new
    assert new in heated.people


def test_other_operators_do_not_appear(profile_of):
    """With --operators erf, relu: of every shape met, beside factors and offsets."""
    judge = Judge(profile_of("tanh(x)", noise=0.1), FORMATS, load_target("xcup"), 250.0)
    evolution = Evolution(judge, 16, operators_of("erf,relu"))
    state = evolved(evolution, 0, 2)
    kinds = {part.kind for v in state.known.values() if v for part in parse(v.shape).walk()}
    assert kinds <= {"x", "constant", "mul", "add", "erf", "relu"}
    assert {"erf", "relu"} <= kinds


def test_layers_have_streams_of_their_own():
    """The state differs by seed and by layer, and is the same in every process."""
    assert len({random_state(seed, layer) for seed in (0, 1) for layer in ("a", "b")}) == 4
    assert random_state(0, "norm") == 7223551093599785267  # of sha256(b'0:norm')


SCRIPT = """
import hashlib, json, torch
from hwnorm.fixed import FixedFormat
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.search.evolve import Evolution
from hwnorm.search.fitness import Judge
from hwnorm.targets.target import load_target
x = torch.linspace(-3, 3, 1500)
profile = LayerProfile.empty(1, bin_edges(x))
profile.update(x, 1.7 * (1.3 * x).tanh() + 0.2 * x, images=1)
judge = Judge(profile, (FixedFormat(10, 7), FixedFormat(8, 5)), load_target("xcup"), 250.0)
evolution = Evolution(judge, 16)
state = evolution.begin(7)
for _ in range(3):
    evolution.advance(state)
print(hashlib.sha256(json.dumps(state.to_json()).encode()).hexdigest())
"""


def test_processes_of_their_own_find_the_same():
    """Nothing hangs on addresses of objects, hash seeds or BLAS's threads, which differ between processes."""
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": str(seed), "OPENBLAS_NUM_THREADS": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(found) == 1


def test_a_shape_of_no_finite_cost_can_be_kept(profile_of):
    """x over its magnitude has no value at 0, and no finite cost: the state is JSON all the same."""
    judge = Judge(profile_of("1.5*tanh(4*x)", noise=0.2), FORMATS, load_target("xcup"), 250.0)
    state = Evolution(judge, 16, None, (parse("x*rsqrt(square(x))"),)).begin(7)
    assert any("rsqrt" in text for text in state.people)
    json.dumps(state.to_json(), allow_nan=False)
