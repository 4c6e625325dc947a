"""Constants: the true ones are found, as scipy finds them, and snapping them costs no more than allowed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.lowering.csd import signed_digits
from hwnorm.search.canonical import canonical
from hwnorm.search.constants import MOST_DIGITS, Points, fit, snapped
from hwnorm.search.tape import Tape


def tape_of(text: str) -> Tape:
    form = canonical(parse(text))
    assert form is not None
    return Tape(form)


@pytest.mark.parametrize(
    ("truth", "start"),
    [
        ("2.58*tanh(0.7*x + 0.2) + 0.24", "tanh(x + 0.1)"),
        ("1.5*clip(x, 1.3) + 0.4*x - 1", "clip(x, 0.5) + x"),
        ("x + 3*tanh(2*x)", "x + tanh(x)"),
        ("max(x, -0.75)", "max(x, 0.1)"),
    ],
)
def test_true_constants_are_found(profile_of, truth, start):
    """A layer that is a shape with some constants gives these: what is left is the bins' width."""
    profile = profile_of(truth)
    tape = tape_of(start)
    found = fit(tape, tape.theta, Points(profile), 40)
    assert found is not None
    assert found.loss / profile.variance < 1e-4


def test_the_fit_is_that_of_scipy(profile_of):
    """The same least squares by scipy's own method, gain and offset among its unknowns."""
    profile = profile_of("2*tanh(x) + 0.3*clip(x, 2)", noise=0.3)
    points, tape = Points(profile), tape_of("tanh(x)")
    found = fit(tape, tape.theta, points, 40)

    def residuals(p: np.ndarray) -> np.ndarray:
        return np.sqrt(points.share) * (p[0] * np.tanh(p[1] * points.x) + p[2] - points.y)

    best = least_squares(residuals, [1.0, 1.0, 0.0], xtol=1e-12, ftol=1e-12)
    assert found is not None
    assert found.loss == pytest.approx(2 * best.cost, rel=1e-4)
    assert [found.gain, found.theta[0], found.offset] == pytest.approx(best.x, rel=1e-2, abs=1e-3)


def test_held_constants_stay(profile_of):
    tape = tape_of("tanh(x + 0.1)")
    found = fit(tape, tape.theta, Points(profile_of("tanh(2*x + 0.5)")), 20, frozenset({0}))
    assert found is not None
    assert found.theta[0] == tape.theta[0]
    assert found.theta[1] != tape.theta[1]


@pytest.mark.parametrize("allowed", [1e-5, 1e-3, 1e-2])
def test_snapping_costs_what_is_allowed(profile_of, allowed):
    """R2 falls by at most the allowance (and the cross term of gain and offset), digits with it."""
    profile = profile_of("1.7*tanh(0.83*x) + 0.31*x", noise=0.2)
    points, tape = Points(profile), tape_of("tanh(x) + x")
    found = fit(tape, tape.theta, points, 40)
    assert found is not None
    best = profile.ceiling_r2 - found.loss / profile.variance
    function = snapped(tape, found, points, allowed * profile.variance)
    assert function is not None
    assert best - 1.5 * allowed <= profile.r2(function.numpy(profile.x)) <= best + 1e-9
    for part in function.walk():
        if part.is_constant:
            assert len(signed_digits(round(part.value * 2**40))) <= MOST_DIGITS


def test_more_allowance_gives_fewer_digits(profile_of):
    profile = profile_of("1.7*tanh(0.83*x) + 0.31*x", noise=0.2)
    points, tape = Points(profile), tape_of("tanh(x) + x")
    found = fit(tape, tape.theta, points, 40)
    assert found is not None

    def digits(allowed: float) -> int:
        function = snapped(tape, found, points, allowed * profile.variance)
        assert function is not None
        return sum(len(signed_digits(round(p.value * 2**40))) for p in function.walk() if p.is_constant)

    assert digits(1e-2) < digits(1e-6)


def test_what_does_not_vary_has_no_fit(profile_of):
    points = Points(profile_of("x"))
    tape = Tape(parse("max(x, 40)"))
    assert fit(tape, tape.theta, points, 5) is None


def test_a_snapped_constant_that_an_operator_refuses_is_no_function(profile_of, monkeypatch):
    """The shape is left out, and the search goes on."""
    profile = profile_of("x + 3*tanh(2*x)")
    tape = tape_of("x + tanh(x)")
    found = fit(tape, tape.theta, Points(profile), 40)
    assert found is not None

    def refused(self, theta):
        raise InputError("rsqrt's argument is 0; it must be positive")

    monkeypatch.setattr(Tape, "expression", refused)
    assert snapped(tape, found, Points(profile), 1e-3) is None
