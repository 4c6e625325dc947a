"""Piecewise-linear units are within their stated error at every code."""

from __future__ import annotations

import numpy as np
import pytest

from hwnorm.datapath.builder import Builder
from hwnorm.datapath.piecewise import MAX_BITS, UNIT_ERROR, PiecewiseUnit, design_unit
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.operators.sigmoid import _odd_part

FUNCTIONS = {"tanh": np.tanh, "sigmoid": _odd_part}


def computed(unit: PiecewiseUnit, codes: np.ndarray, frac: int, result_frac: int) -> np.ndarray:
    """What the unit's tables give for magnitudes, floored as the cells floor it."""
    codes = np.minimum(codes, unit.last_code)
    segment, offset = codes >> unit.low_bits, codes & ((1 << unit.low_bits) - 1)
    base = np.array(unit.base)[segment]
    if not unit.low_bits:
        return base
    rise = np.array(unit.slope)[segment] * offset >> (unit.slope_frac + frac - unit.base_frac)
    return (base + rise) >> (unit.base_frac - result_frac)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("largest", "frac", "result_frac"),
    [(127, 4, 4), (128, 4, 7), (2000, 8, 6), (1, 0, 8), (32768, 11, 8), (32768, 11, 13), (90_000, 14, 14)],
)
def test_the_error_is_within_the_bound_at_every_code(name, largest, frac, result_frac):
    """Up to the last code of the tables UNIT_ERROR holds; where the function is flat, a quarter step more."""
    unit = design_unit(FUNCTIONS[name], largest, frac, result_frac)
    codes = np.arange(largest + 1)
    exact = FUNCTIONS[name](codes * 2.0**-frac) * 2.0**result_frac
    error = np.abs(computed(unit, codes, frac, result_frac) - exact)
    inside = codes <= unit.last_code
    assert error[inside].max() <= UNIT_ERROR
    assert error.max() <= UNIT_ERROR + 0.25


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_tables_fit_their_address(name):
    """Tables have a power of two of entries, one a segment, and the flat end of the domain has none."""
    unit = design_unit(FUNCTIONS[name], 2**15, 11, 8)
    assert len(unit.base) == len(unit.slope) == (unit.last_code + 1) >> unit.low_bits
    assert len(unit.base).bit_count() == 1
    assert (unit.last_code + 1).bit_count() == 1
    assert unit.last_code < 2**15
    assert len(unit.base) <= 256


@pytest.mark.parametrize("frac", [3, 6, 9])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_unit_in_cells_is_odd_and_equals_its_tables(name, frac):
    """Built from cells it gives the tables' results, and f(-a) = -f(a) bit for bit."""
    fmt = FixedFormat(10, 6)
    builder = Builder(fmt, frac, exhaustive=True)
    wire = builder.piecewise_odd(builder.x, FUNCTIONS[name])
    magnitude = builder.trim(builder.x)
    codes = builder.values(magnitude)
    values = builder.values(wire)
    unit = design_unit(FUNCTIONS[name], int(np.abs(codes).max()), magnitude.frac, frac)
    want = np.sign(codes) * computed(unit, np.abs(codes), magnitude.frac, frac)
    np.testing.assert_array_equal(values[codes != 0], want[codes != 0])


def test_too_fine_an_argument_is_refused_before_it_takes_memory():
    """A domain of gigabytes is an InputError that says how many codes it has."""
    with pytest.raises(InputError, match=rf"2\*\*31 codes; 2\*\*{MAX_BITS} are possible"):
        design_unit(np.tanh, 2**40, 27, 27)


@pytest.mark.parametrize("frac", [3, 6, 9])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_quick_builders_range_holds_the_units_results(name, frac):
    """Without evaluating, the range of the unit's result is as wide as what occurs, in both signs."""
    quick, full = (Builder(FixedFormat(10, 6), frac, exhaustive) for exhaustive in (False, True))
    bounds, occurs = (builder.piecewise_odd(builder.x, FUNCTIONS[name]) for builder in (quick, full))
    assert bounds.frac == occurs.frac
    assert bounds.low <= occurs.low < 0 < occurs.high <= bounds.high
