"""Piecewise units are within their tolerance at every code, whatever the function's shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnorm.datapath.cells.float_code import float_code
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.builder import Builder
from hwnorm.piecewise.design import MAX_BITS, Unit, design_unit

SHAPES = {
    "odd": "2.58*tanh(x) + 0.24",
    "odd, not flat": "1.2*tanh(0.5*x) + 0.1*x",
    "even": "1.5*tanh(0.3*square(x))",
    "neither": "0.3*x*sigmoid(1.7*x)",
    "kinks": "clip(2.85*x, 3) - 0.488*x",
    "steep at zero": "sqrt(abs(x))",
    "steep, one side": "log2(abs(x) + 0.01)",
    "a line": "0.37*x - 0.1",
}


def computed(unit: Unit, codes: np.ndarray) -> np.ndarray:
    """What the unit's tables give, written from its definition."""
    folded = unit.fold != "none"
    u = np.abs(codes) if folded and unit.magnitude else codes
    if unit.floated is None:
        u = u >> unit.drop
    if folded and not unit.magnitude:
        u = np.where(codes < 0, ~u, u)
    if unit.saturate is not None:
        signed = not folded and codes.min() < 0
        top = 1 << (unit.saturate - signed - (unit.drop if unit.floated is None else 0))
        u = np.clip(u, -top if signed else 0, top - 1)
    if unit.floated is not None:
        u = float_code(u, unit.floated) >> unit.drop
    segment = (u >> unit.low_bits) % len(unit.base)
    offset = u % (1 << unit.low_bits)
    level = np.array(unit.base)[segment]
    if unit.slope:
        rate = np.array(unit.slope)[segment]
        if unit.curve:
            rate = rate + (np.array(unit.curve)[segment] * offset >> unit.curve_shift)
        level = level + (rate * offset >> unit.slope_shift)
    if unit.fold == "odd":
        level = np.where(codes < 0, ~level, level) + unit.centre
    return level >> unit.guard


@pytest.mark.parametrize("tolerance", [0.5, 0.8, 1.0, 3.0])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("source", "result_frac"), [("s8f4", 5), ("s10f6", 3), ("s12f8", 10)])
def test_every_code_is_within_the_tolerance(shape, source, result_frac, tolerance):
    """The result computed from the tables is off by what the unit says, and that is less than allowed."""
    fmt, function = FixedFormat.parse(source), parse(SHAPES[shape])
    unit = design_unit(function, fmt.min_code, fmt.max_code, fmt.frac, result_frac, tolerance)
    exact = function.numpy(fmt.to_float(fmt.codes())) * 2.0**result_frac
    error = np.abs(computed(unit, fmt.codes()) - exact).max()
    assert error == pytest.approx(unit.error)
    assert error < tolerance or error <= 0.5 == tolerance


@settings(max_examples=60)
@given(
    values=st.lists(st.integers(-200, 200), min_size=2, max_size=40),
    low=st.integers(-40, 40),
    tolerance=st.sampled_from([0.5, 1.0, 4.0]),
)
def test_any_values_on_any_codes(values, low, tolerance):
    """Not even a smooth function is needed, nor a domain that begins at a round place."""

    @dataclass(frozen=True)
    class Listed:
        """A function by its values."""

        values: tuple[int, ...]
        low: int

        def numpy(self, x: np.ndarray) -> np.ndarray:
            return np.array(self.values)[x.astype(int) - self.low] / 3

    high = low + len(values) - 1
    unit = design_unit(Listed(tuple(values), low), low, high, 0, 0, tolerance)
    codes = np.arange(low, high + 1)
    error = np.abs(computed(unit, codes) - np.array(values) / 3).max()
    assert error < tolerance or error <= 0.5 == tolerance


@pytest.mark.parametrize("exhaustive", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_cells_compute_the_tables(shape, exhaustive):
    """Built from cells the unit gives the same results, in ranges that hold them."""
    fmt, function = FixedFormat(10, 6), parse(SHAPES[shape])
    unit = design_unit(function, fmt.min_code, fmt.max_code, fmt.frac, 7, 1.0)
    full, other = (Builder(fmt, 7, e) for e in (True, exhaustive))
    wire = full.function_of_x(function, 7, 1.0)
    np.testing.assert_array_equal(full.values(wire), computed(unit, fmt.codes()))
    bounds = other.function_of_x(function, 7, 1.0)
    assert bounds.low <= wire.low < wire.high <= bounds.high


def test_a_looser_tolerance_is_not_larger():
    """What may be off by more gets by with fewer bits of tables."""

    def bits(tolerance: float) -> int:
        unit = design_unit(parse("tanh(x)"), -2048, 2047, 8, 10, tolerance)
        tables = (unit.base, unit.slope, unit.curve)
        return sum(len(t) * max(abs(v) for v in t).bit_length() for t in tables if t)

    assert bits(4.0) < bits(1.0) <= bits(0.5)


def test_more_precise_results_take_a_higher_degree():
    """A parabola is found where lines would need many segments."""
    unit = design_unit(parse("tanh(x)"), -32768, 32767, 11, 20, 1.0)
    assert unit.curve
    assert unit.error < 1.0


def test_a_bound_below_half_a_step_is_refused():
    """No rounding is nearer than half a step."""
    with pytest.raises(InputError, match=r"within 0.4 ulp"):
        design_unit(parse("tanh(x)"), -128, 127, 4, 4, 0.4)


def test_too_many_codes_are_refused_before_they_take_memory():
    """A domain of gigabytes is an InputError that says how many codes it has."""
    with pytest.raises(InputError, match=rf"over \d+ codes; 2\*\*{MAX_BITS} are possible"):
        design_unit(parse("tanh(x)"), -(2**30), 2**30, 27, 27, 1.0)
