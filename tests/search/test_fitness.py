"""How candidates are scored: the best gain and offset, honest R2, and a term for the tails."""

from __future__ import annotations

import numpy as np
import pytest

from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.csd import signed_digits
from hwnorm.search.canonical import canonical
from hwnorm.search.constants import MOST_DIGITS
from hwnorm.search.fitness import LEAST_SHARE, SNAP_LOSS, TAIL_REACH, TAIL_WEIGHT, Judge
from hwnorm.search.price import Limits
from hwnorm.targets.target import load_target

FORMATS = FixedFormat(12, 8), FixedFormat(8, 5)


def judge(profile):
    return Judge(profile, FORMATS, load_target("xcup"), 250.0)


def digits(value: float) -> int:
    return len(signed_digits(int(value * 2**40)))


def gain_and_offset(candidate, shape):
    """The straight line from the shape to the candidate, by two points."""
    x = np.array([0.3, 0.9])
    g, f = parse(shape).numpy(x), candidate.expression.numpy(x)
    gain = (f[1] - f[0]) / (g[1] - g[0])
    return gain, f[0] - gain * g[0]


@pytest.mark.parametrize("shape", ["x", "tanh(x)", "clip(x, 2)", "abs(x) + 4*x"])
def test_gain_and_offset_are_those_of_least_squares(profile_of, shape):
    """Against NumPy's weighted least squares: snapping them costs no more R2 than is allowed."""
    profile = profile_of("2.58*tanh(x) + 0.3*square(x) + 0.24", noise=0.2)
    found = judge(profile).candidate(parse(shape))
    g = parse(shape).numpy(profile.x)
    columns = np.stack([g, np.ones_like(g)], axis=1) * np.sqrt(profile.weight)[:, None]
    best = np.linalg.lstsq(columns, profile.y * np.sqrt(profile.weight), rcond=None)[0]
    best_r2 = profile.r2(best[0] * g + best[1])
    assert best_r2 - 2.5 * SNAP_LOSS <= found.r2 <= best_r2 + 1e-12


@pytest.mark.parametrize("shape", ["x", "tanh(x)", "tanh(0.5*x)"])
def test_gain_and_offset_have_few_digits(profile_of, shape):
    """Both are snapped to at most MOST_DIGITS signed digits, a few additions each."""
    found = judge(profile_of("2.58713*tanh(x) + 0.24391")).candidate(parse(shape))
    gain, offset = gain_and_offset(found, shape)
    assert digits(round(gain, 9)) <= MOST_DIGITS
    assert digits(round(offset, 9)) <= MOST_DIGITS


def test_an_exact_fit_is_found(profile_of):
    """A layer that is 2.5*tanh(x) + 0.25 gives those numbers to the shape tanh(x), and R2 near 1."""
    profile = profile_of("2.5*tanh(x) + 0.25")
    found = judge(profile).candidate(parse("tanh(x)"))
    assert found.expression == parse("2.5*tanh(x) + 0.25")
    assert found.r2 == pytest.approx(profile.ceiling_r2, abs=1e-6)


@pytest.mark.parametrize("shape", ["x", "tanh(x)", "x*tanh(x) + 4*x"])
def test_r2_is_the_profiles(profile_of, shape):
    """R2 is that of the fitted expression; the error is that of its rounded values, and the tail term."""
    profile = profile_of("2*tanh(x) + 0.1*square(x)", noise=0.3)
    found = judge(profile).candidate(parse(shape))
    assert found.r2 == pytest.approx(profile.r2(found.expression.numpy(profile.x)), abs=1e-7)
    low, high, step = FORMATS[1].low, FORMATS[1].high, FORMATS[1].ulp
    rounded = np.clip(np.floor(found.expression.numpy(profile.x) / step + 0.5) * step, low, high)
    assert found.error == pytest.approx(1.0 - profile.r2(rounded) + found.tail, abs=1e-7)
    assert found.cost > 0


def test_tails_inside_the_seen_range_cost_nothing(profile_of):
    """A function that saturates within the y that were seen has no tail term."""
    found = judge(profile_of("2*tanh(x)", noise=0.3)).candidate(parse("tanh(x)"))
    assert found.tail == 0.0


def test_tails_outside_cost_by_their_excess(profile_of):
    """x runs away at twice the calibrated range: the weight times the excess squared, on both sides."""
    wide = FixedFormat(12, 8), FixedFormat(10, 3)
    profile = profile_of("2*tanh(0.5*x) + 0.5*x", noise=0.3)
    found = Judge(profile, wide, load_target("xcup"), 250.0).candidate(parse("x"))
    reach = TAIL_REACH * max(abs(profile.x_min), abs(profile.x_max))
    bound = max(abs(profile.y_min), abs(profile.y_max))
    excess = np.abs(found.expression.numpy(np.array([-reach, reach]))) - bound
    assert (excess > 0).all()
    assert found.tail == pytest.approx(TAIL_WEIGHT * (excess**2).sum() / profile.variance)


def test_tails_count_as_the_hardware_saturates_them(profile_of):
    """The same line with an output that ends where y does: nothing can run away."""
    profile = profile_of("2*tanh(0.5*x) + 0.5*x", noise=0.3)
    ends = FixedFormat(12, 8), FixedFormat(10, 9 - int(np.log2(max(abs(profile.y_min), profile.y_max))))
    found = Judge(profile, ends, load_target("xcup"), 250.0).candidate(parse("x"))
    assert found.tail == 0.0


def test_tuned_errors_are_those_of_the_fitted_function(profile_of):
    """What the evolution ranks by is the priced candidate's error, to what snapping costs."""
    profile = profile_of("2*tanh(x) + 0.3*clip(x, 2)", noise=0.3)
    judged = judge(profile)
    for text in ("tanh(x)", "x + clip(x, 1)", "tanh(x) + clip(x, 1)"):
        tuned = judged.tuned(canonical(parse(text)))
        first = judged.candidates(canonical(tuned.shape))[0]
        assert first.error == pytest.approx(tuned.error, abs=1e-4)


def test_shallow_functions_are_offered_with_fewer_digits(profile_of):
    """Those whose digits are adders come in more than one precision, a cheaper one among them."""
    made = judge(profile_of("0.83*x", noise=0.1)).candidates(parse("x"))
    assert len(made) > 1
    assert min(c.cost for c in made[1:]) < made[0].cost


def test_limits_refuse_what_takes_more(profile_of):
    """No candidate where LUTs or cycles are fewer than any datapath needs."""
    profile = profile_of("2*tanh(x)", noise=0.3)
    for limits in (Limits(lut=5), Limits(latency=0)):
        bound = Judge(profile, FORMATS, load_target("xcup"), 250.0, limits)
        assert bound.candidate(parse("tanh(x)")) is None


def test_what_explains_little_is_no_candidate(profile_of):
    """An even function for an odd layer: below LEAST_SHARE of the ceiling nothing stands in."""
    judged = judge(profile_of("2*tanh(x)", noise=0.3))
    assert judged.candidate(parse("square(x)")) is None
    assert judged.tuned(parse("square(x)")) is None
    assert 0 < LEAST_SHARE < 1


def test_shapes_that_do_not_vary_are_no_candidates(profile_of):
    """A constant over all x that were seen, or over all codes, cannot stand for a layer."""
    judged = judge(profile_of("tanh(x)"))
    assert judged.candidate(parse("max(tanh(x), 4)")) is None
    assert judged.candidate(parse("x - x")) is None
    assert judged.candidate(parse("square(square(square(square(square(square(16*x))))))")) is None
