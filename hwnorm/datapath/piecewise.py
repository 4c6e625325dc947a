"""Design of piecewise-linear units: tables of base and slope on segments addressed by the top bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwnorm.errors import InputError

#: A unit may be wrong by this much of a step of its result; half a step is what rounding alone costs.
UNIT_ERROR = 0.8
#: Fractional bits that base and rise keep beyond the result's: each one halves what their rounding adds.
COEFFICIENT_GUARD = (1, 2, 3)
#: Up to so many segments a line segment's tables may be cheaper than its multiplier.
FEW_SEGMENTS = 256
#: What a multiplier counts at most, in LUTs: one DSP block.
DSP_LUTS = 108.0
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
    """The smallest unit that keeps ``function`` within :data:`UNIT_ERROR` over codes 0..largest.

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
    direct = tuple(int(v) for v in np.floor(exact + 0.5))
    best = PiecewiseUnit((1 << bits) - 1, 0, direct, (), result_frac, 0)
    for guard in COEFFICIENT_GUARD:
        for segment_bits in range(1, bits):
            unit = _line_segments(exact, bits, segment_bits, guard, frac, result_frac)
            if unit is not None:
                best = min(best, unit, key=_luts)
                if len(unit.base) > FEW_SEGMENTS:
                    break  # twice as many cost more than a narrower multiplier saves
    return best


def _luts(unit: PiecewiseUnit) -> float:
    """Roughly what a unit takes: a LUT6 holds 64 bits of a table; a product's bit takes 1.5 LUTs.

    No more exact than to tell units of one function apart, for any target; a target's measured costs
    then choose among whole datapaths.
    """
    base, slope = (max(map(abs, table), default=0).bit_length() + 1 for table in (unit.base, unit.slope))
    tables = max(1.0, len(unit.base) / 64) * (base + (slope if unit.low_bits else 0))
    return tables + min(1.5 * slope * (unit.low_bits + 1), DSP_LUTS) * (unit.low_bits > 0)


def _line_segments(
    exact: np.ndarray, bits: int, segment_bits: int, guard: int, frac: int, result_frac: int
) -> PiecewiseUnit | None:
    """A line in each of 2**segment_bits segments, or None where they are too few.

    ``exact`` holds the function at every code, in steps of the result. The base is the middle of
    what is left after the quantized slope, so the largest error is as small as that slope allows.
    """
    low_bits = bits - segment_bits
    slope_frac = low_bits + guard + result_frac - frac  # 2**-(guard + 1) steps over a whole segment
    base_frac = result_frac + guard
    rows = exact.reshape(1 << segment_bits, 1 << low_bits)
    run = np.arange(1 << low_bits, dtype=np.int64)
    rise = (rows[:, -1] - rows[:, 0]) / max(1, (1 << low_bits) - 1)  # result steps per code
    slope = np.floor(rise * 2.0 ** (low_bits + guard) + 0.5).astype(np.int64)
    moved = (slope[:, None] * run) >> low_bits  # in steps of the base
    left = rows * 2.0**guard - moved
    # The result is floored from base_frac to result_frac: half a result step makes that rounding.
    middle = (left.max(axis=1) + left.min(axis=1)) / 2 + 2.0**guard / 2
    base = np.floor(middle).astype(np.int64)
    computed = (base[:, None] + moved) >> guard
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
