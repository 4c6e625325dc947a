"""Shapes compiled for their constants: values and slopes, against the expressions and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from hwnorm.expression import parse
from hwnorm.operators import registry
from hwnorm.search.derivatives import slopes
from hwnorm.search.tape import Tape

X = np.linspace(-2.9, 3.1, 211)
SHAPES = [
    "x + 0.5*tanh(0.25*x + 0.1)",
    "clip(x, 1.5) + 0.25*x",
    "clip(0.5*x, -1, 0.75)",
    "x*tanh(0.3*x) - 0.2*min(x, 0.5)",
    "max(abs(x - 0.2), 0.4*x) + 0.3*erf(x)",
    "square(0.3*x + 1)*sigmoid(x)",
    "tanh(0.5*x)*tanh(0.5*x)",
]


@pytest.mark.parametrize("text", SHAPES)
def test_values_and_expression_are_those_of_the_shape(text):
    """The tape computes what the expression does, and gives it back with its own constants."""
    shape = parse(text)
    tape = Tape(shape)
    np.testing.assert_array_equal(tape.run(tape.theta, X)[-1], shape.numpy(X))
    assert tape.expression(tape.theta) == shape


@pytest.mark.parametrize("text", SHAPES)
def test_jacobian_is_that_of_finite_differences(text):
    """One sweep backwards gives every constant's slope; points at a kink are left out."""
    tape = Tape(parse(text))
    theta, h = tape.theta, 1e-6
    assert len(theta) > 0
    exact = tape.jacobian(theta, tape.run(theta, X))
    for j, row in enumerate(exact):
        step = h * np.eye(len(theta))[j]
        ahead, behind = (tape.run(theta + s, X)[-1] for s in (step, -step))
        numeric = (ahead - behind) / (2 * h)
        assert np.mean(np.abs(row - numeric) > 1e-6 * (1 + np.abs(row))) < 0.02


@pytest.mark.parametrize("name", [n for n, op in registry().items() if op.arity == (1, 1)])
def test_slopes_of_every_operator_of_one_signal(name):
    """Analytic where known, by differences elsewhere: both agree with a difference of our own."""
    x = np.linspace(0.3, 2.7, 25)  # inside every domain, away from kinks at 0 and 1
    x = x[np.abs(x - 1) > 0.01]
    function = registry()[name].numpy
    (slope,) = slopes(name, [x], function(x))
    numeric = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(np.broadcast_to(slope, x.shape), numeric, rtol=1e-5, atol=1e-7)


def test_constants_that_are_no_numbers_to_fit_stay():
    """Places of a shift and points of a pwl are no parameters."""
    assert len(Tape(parse("shift(x, 2) + pwl(x, -1, 0, 1, 2)")).theta) == 0
