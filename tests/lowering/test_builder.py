"""The builder keeps signals as narrow as their range, and never narrower."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hwnorm.datapath.ir import Cell
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.oracle import value
from hwnorm.lowering.builder import Builder
from hwnorm.lowering.wire import Wire
from hwnorm.operators import operator

STEPS = ("add", "sub", "neg", "abs", "min", "max", "mul", "constant", "scale", "trim", "tanh")


def build(builder: Builder, steps: list[tuple[str, int, int, float]]) -> list[Wire]:
    """Apply random steps, each to signals made before it."""
    wires = [builder.x]
    for kind, first, second, number in steps:
        a, b = wires[first % len(wires)], wires[second % len(wires)]
        match kind:
            case "add" | "sub" | "min" | "max":
                wires.append(getattr(builder, kind)(a, b))
            case "mul":
                wires.append(builder.trim(builder.mul(builder.trim(a), builder.trim(b))))
            case "neg" | "abs" | "trim":
                wires.append(getattr(builder, kind)(a))
            case "constant":
                wires.append(builder.constant(number))
            case "scale":
                wires.append(builder.scale(a, number))
            case "tanh":
                wires.append(builder.function(a, operator("tanh")))
    return wires


step = st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 9), st.floats(-2, 2))


@given(steps=st.lists(step, max_size=7))
def test_every_format_holds_every_value(steps):
    """With all codes evaluated, each format holds exactly what occurs: not a bit too few or too many."""
    builder = Builder(FixedFormat(6, 3), 4, exhaustive=True)
    build(builder, steps)
    for index, node in enumerate(builder.nodes):
        codes = builder.values(replace(builder.x, index=index))
        if node.cell is not Cell.INPUT:
            assert node.fmt == FixedFormat.holding(int(codes.min()), int(codes.max()), node.fmt.frac)


@given(steps=st.lists(step, max_size=6))
def test_intervals_are_never_narrower_than_what_occurs(steps):
    """The quick builder's ranges hold the values that the exhaustive one finds, signal by signal.

    Scaling and tables are left out: the two builders may choose other constants for them.
    """
    steps = [s for s in steps if s[0] not in ("scale", "tanh")]
    quick, full = (Builder(FixedFormat(6, 3), 4, exhaustive) for exhaustive in (False, True))
    for a, b in zip(build(quick, steps), build(full, steps), strict=True):
        low, high = (value(code, FixedFormat(1, a.frac)) for code in (a.low, a.high))
        assert low <= value(b.low, FixedFormat(1, b.frac))
        assert value(b.high, FixedFormat(1, b.frac)) <= high


@given(steps=st.lists(step, max_size=6))
def test_the_error_bound_holds_at_every_code(steps):
    """Each signal is within its wire's error of the same steps taken in float64, and its exact range."""
    builder = Builder(FixedFormat(6, 3), 4, exhaustive=True)
    exact = [FixedFormat(6, 3).codes() / 8]
    try:
        wires = build(builder, steps)
    except InputError:
        assume(False)
    for kind, first, second, number in steps:
        a, b = exact[first % len(exact)], exact[second % len(exact)]
        exact.append(
            {
                "add": lambda a, b, c: a + b,
                "sub": lambda a, b, c: a - b,
                "min": lambda a, b, c: np.minimum(a, b),
                "max": lambda a, b, c: np.maximum(a, b),
                "mul": lambda a, b, c: a * b,
                "neg": lambda a, b, c: -a,
                "abs": lambda a, b, c: np.abs(a),
                "trim": lambda a, b, c: a,
                "constant": lambda a, b, c: np.full(64, c),
                "scale": lambda a, b, c: a * c,
                "tanh": lambda a, b, c: np.tanh(a),
            }[kind](a, b, number)
        )
    for wire, values in zip(wires, exact, strict=True):
        got = builder.values(wire) * 2.0**-wire.frac
        slack = 1e-9 * (1 + np.abs(values).max())
        assert np.abs(got - values).max() <= wire.error + slack
        assert wire.real[0] - slack <= values.min()
        assert values.max() <= wire.real[1] + slack


@given(
    factor=st.floats(-20, 20), frac=st.integers(0, 10), width=st.integers(2, 10), x_frac=st.integers(0, 10)
)
def test_scaling_is_within_its_tolerance(factor, frac, width, x_frac):
    """Half a step for the constant, less than one for cutting the result, and one for cutting x first."""
    fmt = FixedFormat(width, x_frac)
    builder = Builder(fmt, frac, exhaustive=True)
    wire = builder.scale(builder.x, factor)
    got = np.broadcast_to(builder.values(wire), (2**width,)).tolist()
    cut = 1 if any(node.cell is Cell.RESIZE and node.args == (0,) for node in builder.nodes) else 0
    for code, scaled in zip(fmt.codes().tolist(), got, strict=True):
        error = value(scaled, FixedFormat(1, wire.frac)) - Fraction(factor) * value(code, fmt)
        assert abs(error) * 2**frac < Fraction(3, 2) + cut


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0, 8.0])
def test_a_power_of_two_is_wiring(factor):
    """No adder is built: shifts and, where bits are dropped, a cut."""
    builder = Builder(FixedFormat(8, 4), 4, exhaustive=True)
    builder.scale(builder.x, factor)
    assert {node.cell for node in builder.nodes} <= {Cell.INPUT, Cell.SHIFT, Cell.RESIZE}


def test_equal_cells_are_shared():
    """The same cell on the same signals is built once, and names are never given twice."""
    builder = Builder(FixedFormat(8, 4), 6, exhaustive=True)
    once = builder.scale(builder.x, 1.3)
    count = len(builder.nodes)
    assert builder.scale(builder.x, 1.3) == once
    assert len(builder.nodes) == count
    builder.function(once, operator("tanh"))
    names = [node.name for node in builder.nodes]
    assert len(set(names)) == len(names)


def test_cells_that_ranges_make_needless_are_left_out():
    """A minimum that is never reached and the magnitude of what is never negative cost nothing."""
    builder = Builder(FixedFormat(8, 4), 4, exhaustive=True)
    magnitude = builder.abs(builder.x)
    assert builder.abs(magnitude) == magnitude
    assert builder.min(builder.x, builder.constant(100.0)) == builder.x
    assert builder.max(magnitude, builder.constant(-1.0)) == magnitude


@pytest.mark.parametrize("exhaustive", [True, False])
@pytest.mark.parametrize("use", ["mul", "min", "output"])
def test_what_int64_cannot_hold_is_refused(exhaustive, use):
    """A product, an alignment or an output beyond 62 bits is an InputError, not a silent wrap."""
    builder = Builder(FixedFormat(16, 0), 20, exhaustive)
    builder.begin("square", "square(square(x))")
    large = builder.mul(*[builder.mul(builder.x, builder.x)] * 2)
    uses = {
        "mul": lambda: builder.mul(large, builder.x),
        "min": lambda: builder.min(large, builder.constant(0.3)),
        "output": lambda: builder.output(large, FixedFormat(32, 20)),
    }
    with pytest.raises(InputError, match=r"square\(square\(x\)\): needs \d\d bits; 62 are possible"):
        uses[use]()
