"""The reciprocal square root: over every mantissa, and its table in Verilog."""

from __future__ import annotations

import numpy as np
import pytest

from hwnorm.layernorm.rsqrt import mantissa_bits, rom, rsqrt
from hwnorm.resources import resource


def test_the_verilog_table_is_the_one_written_here():
    """``python -m hwnorm.layernorm.rsqrt`` would not change it."""
    assert (resource("rtl") / "layernorm_rsqrt_rom.v").read_text() == rom()


@pytest.mark.parametrize("width", [*range(3, 16), 17])
def test_relative_error_over_every_mantissa(width):
    """At most 1.2 * 2^-width, on which a result's bound rests; at both ends of what a code stands for."""
    bits = mantissa_bits(width)
    for start in range(1 << (bits - 2), 1 << bits, 1 << 18):
        codes = np.arange(start, min(start + (1 << 18), 1 << bits))
        found = rsqrt(codes, width) * 2.0 ** -(width - 1)
        assert found.min() >= 1
        assert found.max() < 2
        for end in (codes, codes + 1):
            worst = np.abs(found * np.sqrt(end * 2.0**-bits) - 1).max()
            assert worst <= 1.2 * 2.0**-width
