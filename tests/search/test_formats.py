"""Formats of a layer: everything that was seen fits in, as finely as it can."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.fixed import FixedFormat
from hwnorm.search.formats import input_format, output_format

extremes = st.floats(-100.0, 100.0)


def fits(fmt: FixedFormat, low: float, high: float) -> bool:
    return fmt.low <= low and high <= fmt.high


@given(extremes, extremes, st.integers(8, 16))
def test_input_holds_all_x_and_could_not_be_finer(a, b, bits):
    """Both extremes are within the format; with one fractional bit more one would not be."""
    seen: Any = SimpleNamespace(x_min=min(a, b), x_max=max(a, b))
    fmt = input_format(seen, bits)
    assert fmt.width == bits
    assert fits(fmt, seen.x_min, seen.x_max)
    if fmt.frac < bits:
        # As if symmetric: the negative end reaches one step further than the positive one.
        largest = max(abs(a), abs(b))
        assert not fits(FixedFormat(bits, fmt.frac + 1), -largest, largest)


@pytest.mark.parametrize("bits", [3, 6, 8, 12])
@pytest.mark.parametrize("layer", ["tanh(x)", "3*x", "square(x) + 4", "0.1*x"])
def test_output_loses_least(profile_of, layer, bits):
    """Of all fractional bits, those whose rounding and clamping of E[y|x] loses least."""
    profile = profile_of(layer, noise=0.05)
    fmt = output_format(profile, bits)
    assert fmt.width == bits

    def loss(candidate: FixedFormat) -> float:
        clamped = np.maximum(np.minimum(profile.y, candidate.high), candidate.low)
        clamping = sum(profile.weight * (profile.y - clamped) ** 2) / sum(profile.weight)
        return float(candidate.ulp**2 / 12 + clamping)

    assert loss(fmt) <= min(loss(FixedFormat(bits, frac)) for frac in range(bits + 1)) * (1 + 1e-9)
