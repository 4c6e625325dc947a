"""The search of one layer: it comes near the ceiling, and what it reports is what is built."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hwnorm.cost.cost import resources
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.lowering.lower import lower
from hwnorm.search.front import hypervolume
from hwnorm.search.layer import Front, LayerSearch, SearchSettings, search_layer
from hwnorm.targets.target import load_target

SETTINGS = SearchSettings(12, 8, "xcup", 250.0, population=32, generations=6, seed=0)


@pytest.fixture(scope="module")
def profile(profile_of):
    """A layer as those of the first blocks: a bent line with much that no function can explain."""
    return profile_of("2.58*tanh(0.8*x) + 0.24", noise=0.4, points=200_000)


@pytest.fixture(scope="module")
def front(profile) -> Front:
    return search_layer("blocks.0.norm1", profile, SETTINGS)


def test_the_best_comes_near_the_ceiling(front, profile):
    """Within 0.005 of E[y|x]; no function is above it, nor are the integers."""
    assert front.ceiling_r2 == pytest.approx(profile.ceiling_r2, abs=1e-7)
    assert max(p.r2_bit_true for p in front.points) > front.ceiling_r2 - 0.005
    assert all(max(p.r2, p.r2_bit_true) <= front.ceiling_r2 + 1e-7 for p in front.points)


def test_points_report_what_lowering_gives(front):
    """LUT, FF, DSP, latency, cost and largest error are those of the datapath, lowered once more."""
    target = load_target("xcup")
    for point in front.points:
        datapath = lower(parse(point.expression), front.input, front.output, target, 250.0)
        used = resources(datapath.nodes, datapath.latency, target)
        assert (point.lut, point.ff, point.dsp, point.cost) == (used.lut, used.ff, used.dsp, used.cost)
        assert point.latency == datapath.latency
        assert point.max_error_ulp == datapath.certificate.max_error_ulp < 1


def test_bit_true_r2_is_that_of_the_integers(front, profile):
    """Recomputed from codes: round x, look its result up, and sum over the bins."""
    target = load_target("xcup")
    for point in front.points:
        datapath = lower(parse(point.expression), front.input, front.output, target, 250.0)
        codes = np.floor(profile.x * 2.0**front.input.frac + 0.5).astype(np.int64)
        results = datapath.evaluate(codes) / 2.0**front.output.frac
        missed = profile.weight @ (results - profile.y) ** 2
        within = profile.sum_yy.sum() - profile.weight @ profile.y**2
        r2 = 1 - (missed + within) / profile.weight.sum() / profile.variance
        assert point.r2_bit_true == pytest.approx(r2, abs=1e-7)


def covers(a, b) -> bool:
    """Whether a is as good as b in error, R2, cost and LUTs."""
    return a.error <= b.error and a.r2_bit_true >= b.r2_bit_true and a.cost <= b.cost and a.lut <= b.lut


def test_points_are_a_front(front):
    """By the figures of the lowered datapaths: none is equalled or beaten in all of them."""
    for a in front.points:
        assert not any(covers(b, a) for b in front.points if b is not a)
    assert [p.cost for p in front.points] == sorted(p.cost for p in front.points)
    assert all(p.error == pytest.approx(1 - p.r2_bit_true + p.tail, abs=1e-7) for p in front.points)


def test_no_rival_beats_the_front(profile, front):
    """Every rival, lowered, is covered by some point: all together they cover no more than the front."""
    search = LayerSearch("blocks.0.norm1", profile, SETTINGS)
    state = search.advance(None, 0, 0)
    rivals = search.measured(state.rivals)
    assert all(any(covers(p, rival) for p in front.points) for rival in rivals)
    volumes = [
        hypervolume([(1 - p.r2_bit_true, p.lut) for p in ps], (1, 300)) for ps in (front.points, rivals)
    ]
    assert volumes[0] >= volumes[1] > 0
    assert {p.family for p in front.points} <= {c.family for c in state.rivals} | {"evolved"}


def test_limits_hold_for_every_point(profile, front):
    """A front within 30 LUTs and one cycle, of points that the free one has or beats."""
    limited = search_layer("a", profile, replace(SETTINGS, max_lut=30, max_latency=1, no_dsp=True))
    assert limited.points
    assert all(p.lut <= 30 and p.latency <= 1 and p.dsp == 0 for p in limited.points)
    assert max(p.lut for p in front.points) > 30


def test_restarts_only_add(profile, front):
    """Two random streams, the first of them that of one restart alone: no point of it is lost."""
    both = search_layer("blocks.0.norm1", profile, replace(SETTINGS, restarts=2))
    for point in front.points:
        assert any(p.error <= point.error and p.cost <= point.cost for p in both.points)


def test_front_comes_back_from_json(front):
    """Through text and back, every figure is the same."""
    assert Front.model_validate(json.loads(json.dumps(front.to_json()))) == front


def test_a_clock_out_of_reach_names_the_layer(profile):
    """Nothing can be built: one line with the layer and the clock."""
    fast = SearchSettings(8, 8, "xcup", 5000.0, population=8, generations=0, seed=0)
    with pytest.raises(InputError, match=r"layer norm: none of .*5000 MHz") as caught:
        search_layer("norm", profile, fast)
    assert "\n" not in str(caught.value)
