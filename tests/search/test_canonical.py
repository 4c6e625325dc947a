"""Canonical forms: equal for equal functions of their constants, and still that function."""

from __future__ import annotations

import numpy as np
import pytest
from deap import gp
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.search.canonical import canonical, key
from hwnorm.search.grammar import RNG, grow, primitive_set, to_expression
from hwnorm.search.tape import Tape

PSET = primitive_set()
X = np.linspace(-3, 3, 101)


def key_of(text: str) -> str:
    form = canonical(parse(text))
    assert form is not None
    return key(form)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x", "-3*x + 1"),
        ("clip(2*x, 3)", "0.5 - 2*clip(x, 1.5)"),
        ("sigmoid(x)", "tanh(0.3*x)"),
        ("tanh(-x) + x", "2*x + 0.5*tanh(3*x)"),
        ("tanh(x)*x", "-x*tanh(0.25*x) + 2"),
        ("min(x, 2)", "max(-x, -5)"),
        ("clip(clip(x, 3), 1)", "clip(x, 4)"),
        ("clip(tanh(x), 2)", "tanh(x)"),
        ("square(abs(x - 1))", "square(2*x + 3)"),
        ("abs(-3*x)", "abs(abs(x))"),
        ("x + clip(x, 1) - x", "clip(x, 2)"),
        ("min(x, tanh(x))", "2*min(0.5*tanh(2*x), 3*x) - 1"),
    ],
)
def test_duplicates_have_one_key(one, other):
    """What differs in constants, order or by an identity alone is one shape."""
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x", "clip(x, 1)"),
        ("tanh(x)", "tanh(x + 1)"),
        ("tanh(x) + tanh(2*x)", "tanh(x)"),
        ("min(x, 1)", "max(x, 1)"),
        ("abs(x)", "square(x)"),
        ("clip(tanh(x), 0.5)", "tanh(x)"),
    ],
)
def test_different_shapes_have_different_keys(one, other):
    assert key_of(one) != key_of(other)


def test_a_constant_has_no_form():
    assert canonical(parse("x - x")) is None
    assert canonical(parse("0.5*min(x - x, 1)")) is None


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32))
def test_the_form_is_the_function_but_for_gain_and_offset(seed):
    """Over random trees: a gain and an offset make the form the tree, and its own form has its key."""
    RNG.seed(seed)
    shape = to_expression(gp.PrimitiveTree(grow(PSET, 1, 4)))
    try:
        shape.intervals((float(X.min()), float(X.max())))
    except InputError:
        return  # it has no value somewhere: nothing is fitted to it
    values = shape.numpy(X)
    form = canonical(shape)
    if form is None:
        assert np.ptp(values) <= 1e-9 * (1 + np.abs(values).max())
        return
    columns = np.stack([form.numpy(X), np.ones_like(X)], axis=1)
    fitted = columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
    assert np.abs(fitted - values).max() <= 1e-6 * (1 + np.abs(values).max())
    tape = Tape(form)
    again = canonical(tape.expression(tape.theta))
    assert again is not None
    assert key(again) == key(form)
