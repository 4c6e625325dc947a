"""Design of piecewise-linear units: tables of base and slope on segments addressed by the top bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwnorm.errors import InputError

#: A unit may be wrong by this much of a step of its result; half a step is what rounding alone costs.
UNIT_ERROR = 0.8
#: A unit is designed over at most 2**MAX_BITS codes; more would take gigabytes.
MAX_BITS = 22


@dataclass(frozen=True, slots=True)
class PiecewiseUnit:
    """Tables for codes 0..last_code of a magnitude; the lowest ``low_bits`` run along a segment.

    Value = base[segment] + slope[segment] * low bits, of ``base_frac`` and ``slope_frac``
    fractional bits. With ``low_bits`` 0 it is a direct table of finished results.
    """

    last_code: int
    low_bits: int
    base: tuple[int, ...]
    slope: tuple[int, ...]
    base_frac: int
    slope_frac: int


@lru_cache(maxsize=4096)
def design_unit(
    function: Callable[[np.ndarray], np.ndarray], largest: int, frac: int, result_frac: int
) -> PiecewiseUnit:
    """The fewest segments that keep ``function`` within :data:`UNIT_ERROR` over codes 0..largest.

    Args:
        function: float64 array to float64 array, flat beyond some point or ending at ``largest``.
        largest: greatest code of the magnitude, with ``frac`` fractional bits.
        result_frac: fractional bits of the result.

    Raises:
        InputError: the part of the domain where the function is not flat has too many codes.
    """

    def at(code: int) -> float:
        return float(function(np.asarray(code * 2.0**-frac)))

    bits = max(1, int(largest).bit_length())
    # Halve the domain while everything in its upper half differs from the end by under a quarter step.
    end = at(largest)
    while bits > 1 and abs(at((1 << (bits - 1)) - 1) - end) * 2.0**result_frac <= 0.25:
        bits -= 1
    if bits > MAX_BITS:
        raise InputError(f"a table over 2**{bits} codes; 2**{MAX_BITS} are possible: use fewer bits")
    exact = np.asarray(function(np.arange(1 << bits) * 2.0**-frac)) * 2.0**result_frac
    for segment_bits in range(1, bits):
        unit = _line_segments(exact, bits, segment_bits, frac, result_frac)
        if unit is not None:
            return unit
    direct = tuple(int(v) for v in np.floor(exact + 0.5))
    return PiecewiseUnit((1 << bits) - 1, 0, direct, (), result_frac, 0)


def _line_segments(
    exact: np.ndarray, bits: int, segment_bits: int, frac: int, result_frac: int
) -> PiecewiseUnit | None:
    """A line in each of 2**segment_bits segments, or None where they are too few.

    ``exact`` holds the function at every code, in steps of the result. The base is the middle of
    what is left after the quantized slope, so the largest error is as small as that slope allows.
    """
    low_bits = bits - segment_bits
    slope_frac = low_bits + 1 + result_frac - frac  # half a step at most over a whole segment
    base_frac = result_frac + 1
    rows = exact.reshape(1 << segment_bits, 1 << low_bits)
    run = np.arange(1 << low_bits, dtype=np.int64)
    rise = (rows[:, -1] - rows[:, 0]) / max(1, (1 << low_bits) - 1)  # result steps per code
    slope = np.floor(rise * 2.0 ** (slope_frac + frac - result_frac) + 0.5).astype(np.int64)
    moved = (slope[:, None] * run) >> (slope_frac + frac - base_frac)
    left = rows * 2.0 ** (base_frac - result_frac) - moved
    # The result is floored from base_frac to result_frac: half a result step makes that rounding.
    middle = (left.max(axis=1) + left.min(axis=1)) / 2 + 2.0 ** (base_frac - result_frac) / 2
    base = np.floor(middle).astype(np.int64)
    computed = (base[:, None] + moved) >> (base_frac - result_frac)
    if np.abs(computed - rows).max() > UNIT_ERROR:
        return None
    return PiecewiseUnit(
        (1 << bits) - 1,
        low_bits,
        tuple(int(v) for v in base),
        tuple(int(v) for v in slope),
        base_frac,
        slope_frac,
    )
