"""What every registered operator must do; a new one is tested here without a change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import run
from strategies import positive

from hwnorm.datapath.lower import lower
from hwnorm.expression import Expression, X, apply, constant, parse
from hwnorm.fixed import FixedFormat
from hwnorm.operators import registry
from hwnorm.operators.base import Interval
from hwnorm.targets.target import load_target

every_operator = pytest.mark.parametrize("name", sorted(registry()))


def arguments(name: str, count: int, signals: list[Any], limit: float) -> list[Any]:
    """``count`` arguments: the limit where a constant is asked for, one of ``signals`` elsewhere."""
    fixed = registry()[name].constant_arguments
    return [limit if position in fixed else signals[position % len(signals)] for position in range(count)]


def uses(name: str) -> list[Expression]:
    """The operator on x, on two signals, and with a constant in every place that allows one."""
    op = registry()[name]
    found = []
    for count in range(op.arity[0], op.arity[1] + 1):
        places: list[list[Any]] = [
            arguments(name, count, [X, parse("0.5*x")], 1.5),
            arguments(name, count, [parse("0.75*x"), parse("tanh(x)")], 1.5),
        ]
        for position in range(count):
            if count > 1 and position not in op.constant_arguments:
                mixed = arguments(name, count, [X], 1.5)
                mixed[position] = -0.75
                places.append(mixed)
        for args in places:
            found.append(apply(name, *(constant(a) if isinstance(a, float) else a for a in args)))
    return [expression for expression in dict.fromkeys(found) if not expression.is_constant]


@every_operator
@given(data=st.data())
def test_the_interval_holds_the_values(name, data):
    """For random intervals of the arguments, values at points of them lie in the operator's interval."""
    op = registry()[name]
    count = data.draw(st.integers(*op.arity))
    limit = data.draw(positive)
    ends = st.lists(st.floats(-50, 50), min_size=2, max_size=2).map(sorted)
    intervals: list[Interval] = []
    points = []
    for position in range(count):
        low, high = (limit, limit) if position in op.constant_arguments else data.draw(ends)
        intervals.append((low, high))
        points.append(low + (high - low) * np.linspace(0, 1, 5))
    least, most = op.interval(*intervals)
    constants = [limit if position in op.constant_arguments else None for position in range(count)]
    grid = [
        limit if fixed is not None else axis
        for fixed, axis in zip(constants, np.meshgrid(*points, indexing="ij"), strict=True)
    ]
    values = op.numpy(*grid)
    slack = 1e-9 * (1 + max(abs(least), abs(most)))
    assert least - slack <= np.min(values)
    assert np.max(values) <= most + slack


@every_operator
def test_pytorch_equals_numpy_and_has_a_gradient(name):
    """In float64 both renderings agree, and a finite gradient reaches x."""
    for expression in uses(name):
        x = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)
        y = expression.to_module()(x)
        want = torch.tensor(expression.numpy(x.detach().numpy()))
        torch.testing.assert_close(y, want, rtol=1e-12, atol=1e-12)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert torch.isfinite(gradient).all()


@every_operator
def test_the_gradient_is_the_slope(name):
    """Away from kinks the gradient equals the central difference of the reference."""
    for expression in uses(name):
        x = torch.tensor([-3.3, -0.61, 0.57, 0.9, 2.7], dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(expression.to_module()(x).sum(), x)
        at = x.detach().numpy()
        slope = (expression.numpy(at + 1e-6) - expression.numpy(at - 1e-6)) / 2e-6
        np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-6, atol=1e-6)


@every_operator
def test_the_lowering_is_the_function(name):
    """Lowered for eight bits it is within an ulp at every code, and every signal's format holds it."""
    fmt, target = FixedFormat(8, 4), load_target("xcup")
    for expression in uses(name):
        datapath = lower(expression, fmt, FixedFormat(9, 4), target, 100.0)
        exact = np.clip(expression.numpy(fmt.to_float(fmt.codes())), -16, 255 / 16) * 16
        assert np.abs(datapath.evaluate(fmt.codes()) - exact).max() < 1.0
        for code in fmt.codes():
            signals = run(datapath.nodes, int(code))
            for node, signal in zip(datapath.nodes, signals, strict=True):
                assert node.fmt.min_code <= signal <= node.fmt.max_code
            assert signals[-1] == datapath.evaluate(code)
