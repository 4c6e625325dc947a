"""Constants as few signed digits."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hwnorm.lowering.csd import signed_digits, simplest_multiple, snap


@given(value=st.integers(-(2**40), 2**40))
@example(value=0)
def test_digits_sum_to_the_value_and_are_never_neighbours(value):
    """The digits are canonical: ascending places, signs of one, at least one empty place between two."""
    digits = signed_digits(value)
    assert sum(sign * 2**place for place, sign in digits) == value
    assert all(sign in (-1, 1) for _, sign in digits)
    assert all(upper - lower >= 2 for (lower, _), (upper, _) in pairwise(digits))


def test_no_other_signed_digits_are_fewer():
    """For every value up to 8 bits no sum of fewer signed powers of two exists."""
    reachable = {0: 0}
    for count in (1, 2, 3):
        for places in combinations(range(10), count):
            for signs in product((-1, 1), repeat=count):
                reachable.setdefault(sum(s * 2**p for s, p in zip(signs, places, strict=True)), count)
    for value in range(-255, 256):
        count = len(signed_digits(value))
        assert count == reachable.get(value, max(count, 4))


@given(factor=st.floats(-1000, 1000), bits=st.integers(-4, 20))
@example(factor=0.75, bits=10)
def test_the_simplest_multiple_is_within_tolerance_and_the_simplest(factor, bits):
    """It meets the tolerance in exact arithmetic, and no multiple of fewer fractional bits does."""
    tolerance = Fraction(2) ** -bits
    multiple, point = simplest_multiple(factor, float(tolerance))
    assert abs(Fraction(multiple, 2**point) - Fraction(factor)) <= tolerance
    if point > 0:
        coarser = round(Fraction(factor) * 2 ** (point - 1))
        assert abs(Fraction(coarser, 2 ** (point - 1)) - Fraction(factor)) > tolerance


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_snap_is_the_nearest_of_that_many_digits(digits):
    """Against all numbers of so many signed digits, none lies nearer."""
    values = {0.0}
    for count in range(1, digits + 1):
        for places in combinations(range(-7, 4), count):
            for signs in product((-1, 1), repeat=count):
                values.add(sum(s * 2.0**p for s, p in zip(signs, places, strict=True)))
    for factor in (0.0, 0.0625, 0.3, 0.7491, 1.5, -2.58, 2.999, 3.7, -5.3):
        assert abs(snap(factor, digits) - factor) <= min(abs(v - factor) for v in values)
        assert len(signed_digits(int(snap(factor, digits) * 2**40))) <= digits
