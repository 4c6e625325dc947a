"""Table entries for segments of a domain: found exactly, in integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import floor
from typing import NamedTuple

import numpy as np

from hwnorm.piecewise.bands import FREE, Domain, Side
from hwnorm.piecewise.strip import Strip

#: Fractional bits that coefficients keep beyond the result's.
GUARD_BITS = (0, 1, 2, 3)
#: Bits that a slope keeps beyond what one step of the base needs over a whole segment.
SLOPE_BITS = (-1, 0, 1, 2)
#: Numbers of segments tried: the fewest that do, and fewer than so many doublings.
DOUBLINGS = 3
#: A larger table is no kernel: simulators choke on it, and nobody would build it.
MOST_ENTRIES = 1 << 14
#: Codes of a few segments that are looked at before all.
SAMPLE = 1 << 12
#: A product that takes more LUTs than this is left to a DSP block.
DSP_LUTS = 108.0


@dataclass(frozen=True)
class Coefficients:
    """Entries of a grid's segments, in order; ``slope`` and ``curve`` are empty below their degree."""

    grid: Grid
    base: np.ndarray
    slope: np.ndarray
    curve: np.ndarray
    precision: Precision
    luts: float

    def error(self) -> float:
        """The largest distance from the function, in steps of the result."""
        strip, cut, precision = self.grid.strip, self.grid.cut, self.precision
        level = (self.base[:, None] + self.grid.rise(self.slope, self.curve, precision)).ravel()
        error = _distance((level + self.centre) >> precision.guard, strip.plus.part(cut))
        if strip.minus is not None:
            other = (self.centre - 1 - level) >> precision.guard
            error = max(error, _distance(other, strip.minus.part(cut)))
        return error

    @property
    def centre(self) -> int:
        return self.grid.strip.centre(self.precision.guard)

    def addressed(self, entries: np.ndarray) -> tuple[int, ...]:
        """A table in the order of its address, the lowest bits of the segment's number."""
        if not len(entries):
            return ()
        size = 1 << (self.grid.segments - 1).bit_length()
        # Addresses that never occur repeat the last entry: logic synthesis merges them.
        order = np.minimum(np.arange(size), len(entries) - 1)
        placed = np.empty(size, dtype=np.int64)
        placed[(self.grid.start + np.arange(size)) & (size - 1)] = entries[order]
        return tuple(placed.tolist())


def fits(domain: Domain, limit: float) -> Iterator[Coefficients]:
    """Direct tables, lines and parabolas, each estimated below ``limit`` and all before it."""
    strip = Strip(domain)
    direct = Grid(strip, 0)
    for guard in (0, 1):
        table = direct.fit(Precision(0, guard, 0, 0), limit)
        if table is not None:
            limit = table.luts
            yield table
            break
    grids = [Grid(strip, low_bits) for low_bits in range(strip.bits, 1, -1)]
    for degree in (1, 2):
        for found in _sloped([grid for grid in grids if grid.low_bits > degree], degree, limit):
            limit = found.luts
            yield found


def _sloped(grids: list[Grid], degree: int, limit: float) -> Iterator[Coefficients]:
    """Those of one degree, on grids of ever more segments."""
    fewest: int | None = None
    unknown: list[Grid] = []
    for grid in grids:
        if grid.least_luts() >= limit:
            break  # more segments only cost more
        if fewest is None:
            # Whether a grid has segments enough is worked out once some unit may be cheap enough.
            unknown.append(grid)
            if grid.least_sloped(degree, GUARD_BITS[0], SLOPE_BITS[0]) >= limit:
                continue
            fewest = next((g.low_bits for g in unknown if g.suffices(degree)), None)
            unknown.clear()
        if fewest is None:
            continue
        if grid.low_bits <= fewest - DOUBLINGS:
            break
        for guard in GUARD_BITS:
            for extra in SLOPE_BITS:
                if grid.least_sloped(degree, guard, extra) >= limit:
                    break
                found = grid.fit(grid.precision(degree, guard, extra), limit)
                if found is not None:
                    limit = found.luts
                    yield found
                    break  # a longer slope only costs more


class Precision(NamedTuple):
    """Of entries: their degree, and the binary points of the coefficients."""

    degree: int
    guard: int
    slope_shift: int
    curve_shift: int


class Grid:
    """A strip in rows, one a segment."""

    def __init__(self, strip: Strip, low_bits: int) -> None:
        self.strip, self.low_bits = strip, low_bits
        #: The codes that the segments hold.
        self.cut = strip.cut(low_bits)
        self.start = strip.domain.start >> low_bits
        self.segments = (self.cut.stop - self.cut.start) >> low_bits
        self._entry_luts = _table_luts(self.segments, 1)

    def precision(self, degree: int, guard: int, extra: int) -> Precision:
        """That of entries with slopes, ``extra`` bits longer than one step of the base needs."""
        return Precision(degree, guard, self.low_bits + extra, self.low_bits if degree == 2 else 0)

    def rise(self, slope: np.ndarray, curve: np.ndarray, precision: Precision, every: int = 1) -> np.ndarray:
        """What is added to the base at each offset, (segments, 2**low_bits), or a single zero."""
        if not len(slope):
            return np.zeros((1, 1), dtype=np.int64)
        run = np.arange(0, 1 << self.low_bits, every, dtype=np.int64)
        rates = slope[:, None]
        if len(curve):
            rates = rates + ((curve[:, None] * run) >> precision.curve_shift)
        return (rates * run) >> precision.slope_shift

    def suffices(self, degree: int) -> bool:
        """Whether each segment has entries, at the most precise."""
        return self.fit(self.precision(degree, GUARD_BITS[-1], SLOPE_BITS[-1]), np.inf) is not None

    def fit(self, precision: Precision, limit: float) -> Coefficients | None:
        """Entries of this precision; None if some segment has none, or they surely take ``limit`` LUTs."""
        if self.segments > MOST_ENTRIES:
            return None
        slope, curve = self._slopes(precision)
        bits = _bits(slope), _bits(curve)
        if self._luts(precision.degree, self._least_base(precision.guard), *bits) >= limit:
            return None
        base = self._settled(slope, curve, precision)
        if base is None:
            return None
        luts = self._luts(precision.degree, _bits(base), _bits(slope), _bits(curve))
        return Coefficients(self, base, slope, curve, precision, luts)

    # --- entries -----------------------------------------------------------------------------------

    def _slopes(self, precision: Precision) -> tuple[np.ndarray, np.ndarray]:
        """Slope and curve of each segment: the chord, and the parabola through ends and middle."""
        degree, guard, slope_shift, curve_shift = precision
        slope = curve = np.zeros(0, dtype=np.int64)
        if degree == 0:
            return slope, curve
        last = (1 << self.low_bits) - 1
        chord = self._chord * 2.0**guard
        if degree == 2:
            curve = np.floor(self._second * 2.0 ** (guard + slope_shift + curve_shift) + 0.5).astype(np.int64)
            chord = chord - ((curve * last) >> curve_shift) * last * 2.0**-slope_shift
        slope = np.floor(chord / last * 2.0**slope_shift + 0.5).astype(np.int64)
        return slope, curve

    def _settled(self, slope: np.ndarray, curve: np.ndarray, precision: Precision) -> np.ndarray | None:
        """The base of each segment, its slope moved by a step where that helps; None if some has none."""
        low, high = self._bounds(precision.guard)
        # A step of the slope moves each level by so much at most, so a gap closes by twice as much.
        closes = 2 * ((((1 << self.low_bits) - 1) >> precision.slope_shift) + 1) if precision.degree else 0
        if low.size > 4 * SAMPLE and self._sampled_gap(slope, curve, precision) > closes:
            return None
        least, most = _bases(low, high, self.rise(slope, curve, precision))
        if (least - most).max() > closes:
            return None
        base = (least + most) >> 1
        left = np.flatnonzero(least > most)
        for nudge in (1, -1):
            if len(left):
                tried, bend = slope[left] + nudge, curve[left] if len(curve) else curve
                least, most = _bases(low[left], high[left], self.rise(tried, bend, precision))
                done = least <= most
                base[left[done]] = (least[done] + most[done]) >> 1
                slope[left[done]] = tried[done]
                left = left[~done]
        return None if len(left) else base

    def _sampled_gap(self, slope: np.ndarray, curve: np.ndarray, precision: Precision) -> int:
        """By how much, at a few codes, the bounds of some segment's base exclude each other at least."""
        low, high = self._bounds(precision.guard)
        every = max(1, min(low.size // SAMPLE, low.shape[1] // 8))
        some = slice(None, None, max(1, low.size // SAMPLE // every))
        moved = self.rise(slope[some], curve[some], precision, every)
        least, most = _bases(low[some, ::every], high[some, ::every], moved)
        return int((least - most).max())

    def _bounds(self, guard: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.strip.bounds(guard)
        return low[self.cut].reshape(-1, 1 << self.low_bits), high[self.cut].reshape(-1, 1 << self.low_bits)

    @cached_property
    def _aim(self) -> np.ndarray:
        return self.strip.aim[self.cut].reshape(-1, 1 << self.low_bits)

    @cached_property
    def _chord(self) -> np.ndarray:
        return np.asarray(self._aim[:, -1] - self._aim[:, 0])

    @cached_property
    def _second(self) -> np.ndarray:
        """The bend of each segment's parabola."""
        last = (1 << self.low_bits) - 1
        middle = last // 2
        half = self._aim[:, middle] - self._aim[:, 0]
        return np.asarray((self._chord / last - half / middle) / (last - middle))

    # --- what they take ----------------------------------------------------------------------------

    def least_luts(self) -> float:
        """A count that no unit on this grid falls below: the base's table."""
        return self._entry_luts * max(1, int(self._spread).bit_length())

    def least_sloped(self, degree: int, guard: int, extra: int) -> float:
        """A count that entries of this precision do not fall below; it grows with ``guard`` and ``extra``."""
        rate, least_base = 2.0 ** (guard + self.low_bits + extra), self._least_base(guard)
        if degree == 1:
            return self._luts(1, least_base, _bits_of(*_rounded(self._pitches, rate)), 0)
        pitches, seconds = self._bent
        low, high = _rounded(pitches, rate)
        # Rounding the curve moves a slope by up to two steps.
        slope_bits = _bits_of(min(low + 2, 0), max(high - 2, 0))
        curve_bits = _bits_of(*_rounded(seconds, rate * 2.0**self.low_bits))
        return self._luts(2, least_base, max(1, slope_bits), curve_bits)

    def _least_base(self, guard: int) -> int:
        return int(self._spread * 2.0**guard).bit_length()

    @cached_property
    def _spread(self) -> float:
        """Greatest less least value of what is approximated."""
        aim = self.strip.aim[self.cut]
        return float(aim.max() - aim.min())

    @cached_property
    def _pitches(self) -> tuple[float, float]:
        """The least and the greatest slope of a chord, in steps of the result a code."""
        return _ends(self._chord / ((1 << self.low_bits) - 1))

    @cached_property
    def _bent(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Those of the parabolas where segments begin, and of their bend."""
        last = (1 << self.low_bits) - 1
        return _ends(self._chord / last - self._second * last), _ends(self._second)

    @cached_property
    def _fixed_luts(self) -> float:
        """What folding, saturating and the float code take."""
        domain = self.strip.domain
        luts = 0.0
        if domain.fold != "none":
            ends = domain.start + domain.size - 1, -domain.start - 1
            luts += domain.floated or max(1, *(end.bit_length() for end in ends))
        if domain.saturate is not None:
            luts += domain.saturate + 2
        if domain.floated is not None:
            luts += float_luts(domain.floated)
        return luts

    def _luts(self, degree: int, base_bits: int, slope_bits: int, curve_bits: int) -> float:
        """Roughly what a unit takes, no more exact than to tell units of one function apart."""
        level = base_bits + 1
        luts = self._fixed_luts + self._entry_luts * (base_bits + slope_bits + curve_bits)
        if degree:
            luts += min(product_luts(slope_bits, self.low_bits), DSP_LUTS) + level
        if degree == 2:
            luts += min(product_luts(curve_bits, self.low_bits), DSP_LUTS) + slope_bits
        if self.strip.domain.fold == "odd":
            luts += level
        return luts


def _bases(low: np.ndarray, high: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and greatest base of each row whose levels, ``moved`` from it, keep between the bounds."""
    first = np.arange(0, low.size, low.shape[1])
    least = np.maximum.reduceat((low - moved).ravel(), first)
    most = np.minimum.reduceat((high - moved).ravel(), first)
    free = most - least > FREE  # a row that no code reaches
    return np.where(free, 0, least), np.where(free, 0, most)


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _rounded(ends: tuple[float, float], rate: float) -> tuple[int, int]:
    return floor(ends[0] * rate + 0.5), floor(ends[1] * rate + 0.5)


def product_luts(a: int, b: int) -> float:
    """LUTs of an a-bit by b-bit product as rows of gated additions."""
    return float(a * b)


def float_luts(bits: int) -> float:
    """LUTs that normalise so many bits: a multiplexer a place of the exponent, and what steers it."""
    return 1.25 * bits * (bits - 1).bit_length()


def _table_luts(entries: int, bits: int) -> float:
    """A LUT6 holds 64 entries of one bit; wider multiplexers come with it."""
    return bits * max(1.0, (1 << max(0, entries - 1).bit_length()) / 64)


def _bits(table: np.ndarray) -> int:
    """Bits that a table's entries take; a sign only where one is negative."""
    if not len(table):
        return 0
    return _bits_of(int(table.min()), int(table.max()))


def _bits_of(low: int, high: int) -> int:
    return max(high.bit_length(), (-low - 1).bit_length() + 1 if low < 0 else 0)


def _distance(result: np.ndarray, side: Side) -> float:
    known = side.low <= side.high
    off = np.maximum(np.abs(result - side.low), np.abs(result - side.high))
    return float(off[known].max(initial=0.0))
