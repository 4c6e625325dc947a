"""Formats: what is read, what a code means, and how a real value becomes one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import formats

from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.oracle import resized, value


@given(width=st.integers(2, 32), signed=st.booleans(), data=st.data())
def test_text_reads_back(width, signed, data):
    """parse is the inverse of str, and of C++'s type, for every format that a user may name."""
    fmt = FixedFormat(width, data.draw(st.integers(-32, 64)), signed)
    assert FixedFormat.parse(str(fmt)) == FixedFormat.parse(fmt.cpp) == fmt
    assert FixedFormat.parse(fmt.cpp.replace(" ", "")) == fmt
    assert fmt.integer_bits + fmt.frac == width


@given(width=st.integers(2, 12), frac=st.integers(-3, 12))
def test_an_unsigned_format_has_the_codes_from_0_on(width, frac):
    """As many as a signed one of as many bits; one bit more, signed, holds them all and is ``inside``."""
    fmt = FixedFormat(width, frac, signed=False)
    assert fmt.codes().tolist() == list(range(2**width))
    assert (fmt.low, fmt.high) == (0.0, (2**width - 1) * fmt.ulp)
    assert fmt.inside == FixedFormat(width + 1, frac)
    assert fmt.inside.max_code == fmt.max_code
    assert fmt.quantize([-1.0, 2.0**40]).tolist() == [0, fmt.max_code]
    assert fmt != FixedFormat(width, frac)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("s16f99", "99 fractional bits; -32 to 64 are possible"),
        ("ap_fixed<16,50>", "-34 fractional bits; -32 to 64"),
        ("x8", "not of the form s16f11"),
        ("s16", "not of the form"),
        ("u16", "not of the form s16f11 .*, u8f8"),
        ("u33f0", "33 bits; 2 to 32"),
        ("ap_ufixed<1,0>", "1 bits; 2 to 32"),
        ("ap_fixed<16>", "not of the form"),
        ("s16f--1", "not of the form"),
        ("", "not of the form"),
        ("s1f0", "1 bits; 2 to 32"),
        ("s33f0", "33 bits; 2 to 32"),
    ],
)
def test_other_texts_are_refused_by_name(text, complaint):
    """A format that is none is an InputError of one line that quotes it and says what is wrong."""
    with pytest.raises(InputError, match=complaint) as caught:
        FixedFormat.parse(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("width", [0, 63])
def test_signals_have_1_to_62_bits(width):
    """No signal is wider than int64 arithmetic with a carry allows."""
    with pytest.raises(ValueError, match="1 to 62"):
        FixedFormat(width, 0)


@given(ends=st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=2).map(sorted))
@example(ends=[-8, -8])
@example(ends=[-1, -1])
@example(ends=[0, 0])
def test_holding_is_the_narrowest(ends):
    """holding(low, high) holds both ends, and one bit less would not."""
    low, high = ends
    fmt = FixedFormat.holding(low, high, 3)
    assert fmt.frac == 3
    assert fmt.min_code <= low <= high <= fmt.max_code
    half = 2 ** (fmt.width - 1) // 2
    assert fmt.width == 1 or low < -half or high >= half


@given(fmt=formats(), number=st.floats(-1e6, 1e6, width=32))
@example(fmt=FixedFormat(8, 4), number=-0.03125)
def test_quantize_rounds_half_up_and_saturates(fmt, number):
    """quantize equals floor(v * 2**frac + 1/2), clamped, in exact arithmetic for every float32."""
    assert int(fmt.quantize(np.float32(number))) == resized(Fraction(number), fmt, "rnd", "sat")


@given(fmt=formats(widths=(2, 10)))
def test_codes_and_values(fmt):
    """All codes ascend from low to high in steps of an ulp, and quantize leads back from values."""
    codes = fmt.codes()
    values = fmt.to_float(codes)
    assert [float(value(int(c), fmt)) for c in codes] == values.tolist()
    assert (values[0], values[-1]) == (fmt.low, fmt.high)
    np.testing.assert_array_equal(fmt.quantize(values), codes)
