"""Table entries for segments of a domain: found exactly, in integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import floor

import numpy as np

from hwnorm.datapath.bands import FREE, Domain, Side, padded

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
    guard: int
    slope_shift: int
    curve_shift: int
    centre: int
    luts: float

    def error(self) -> float:
        """The largest distance from the function, in steps of the result."""
        grid = self.grid
        level = self.base[:, None] + grid.rise(self.slope, self.curve, self.slope_shift, self.curve_shift)
        error = _distance((level + self.centre) >> self.guard, grid.plus)
        if grid.minus is not None:
            error = max(error, _distance((self.centre - 1 - level) >> self.guard, grid.minus))
        return error

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
    bits = max(1, (domain.size - 1).bit_length())
    direct = Grid.of(domain, 0)
    for guard in (0, 1):
        table = direct.fit(0, guard, 0, limit)
        if table is not None:
            limit = table.luts
            yield table
            break
    for degree in (1, 2):
        fewest = None
        for low_bits in range(bits, degree, -1):
            if fewest is not None and low_bits <= fewest - DOUBLINGS:
                break
            grid = Grid.of(domain, low_bits)
            if grid.least_luts() >= limit:
                break  # more segments only cost more
            if fewest is None:
                if grid.fit(degree, GUARD_BITS[-1], SLOPE_BITS[-1], np.inf) is None:
                    continue
                fewest = low_bits
            for guard in GUARD_BITS:
                for extra in SLOPE_BITS:
                    found = grid.fit(degree, guard, extra, limit)
                    if found is not None:
                        limit = found.luts
                        yield found
                        break  # a longer slope only costs more


@dataclass(frozen=True)
class Grid:
    """A domain in rows, one a segment."""

    domain: Domain
    low_bits: int
    start: int
    plus: Side
    minus: Side | None
    #: What the tables approximate, (segments, 2**low_bits) in result steps.
    aim: np.ndarray
    #: Greatest less least value of the aim.
    spread: float

    @classmethod
    def of(cls, domain: Domain, low_bits: int) -> Grid:
        """The rows of ``domain``."""
        centre = domain.centre
        start = domain.start >> low_bits
        front = domain.start - (start << low_bits)
        back = -(domain.size + front) % (1 << low_bits)

        def shaped(v: np.ndarray) -> np.ndarray:
            return v.reshape(-1, 1 << low_bits)

        plus = padded(domain.plus, front, back).map(shaped, shaped)
        lows, highs = [plus.low - centre], [plus.high - centre]
        minus = None
        if domain.minus is not None:
            minus = padded(domain.minus, front, back).map(shaped, shaped)
            lows.append(centre - minus.high)
            highs.append(centre - minus.low)
        with np.errstate(invalid="ignore"):  # infinite where no code occurs
            aim = (np.min(lows, axis=0) + np.max(highs, axis=0)) / 2
        aim = _extended(aim)
        return cls(domain, low_bits, start, plus, minus, aim, float(aim.max() - aim.min()))

    @property
    def segments(self) -> int:
        return len(self.aim)

    def least_luts(self) -> float:
        """A count that no unit on this grid falls below: the base's table."""
        return self._entry_luts * max(1, int(self.spread).bit_length())

    def rise(self, slope: np.ndarray, curve: np.ndarray, slope_shift: int, curve_shift: int) -> np.ndarray:
        """What is added to the base at each offset, (segments, 2**low_bits) or a single zero."""
        if not len(slope):
            return np.zeros((1, 1), dtype=np.int64)
        run = np.arange(1 << self.low_bits, dtype=np.int64)
        rates = slope[:, None]
        if len(curve):
            rates = rates + ((curve[:, None] * run) >> curve_shift)
        return (rates * run) >> slope_shift

    def fit(self, degree: int, guard: int, extra: int, limit: float) -> Coefficients | None:
        """Entries of these precisions; None if some segment has none, or they take ``limit`` LUTs."""
        if self.segments > MOST_ENTRIES:
            return None
        slope_shift = self.low_bits + extra if degree else 0
        curve_shift = self.low_bits if degree == 2 else 0
        if slope_shift < 0:
            return None
        least_base = int(self.spread * 2.0**guard).bit_length()
        if (
            self._luts(degree, least_base, *self._least_bits(degree, guard, slope_shift, curve_shift))
            >= limit
        ):
            return None
        slope, curve = self._slopes(degree, guard, slope_shift, curve_shift)
        if degree == 2 and self._luts(degree, least_base, _bits(slope), _bits(curve)) >= limit:
            return None
        centre = 0
        if self.minus is not None:
            # W + centre and ~W + centre then lie evenly about the centre once both are floored.
            centre = int(np.floor(self.domain.centre * 2.0**guard + 2.0**guard / 2 + 0.5))
        base = np.zeros(self.segments, dtype=np.int64)
        precision = degree, guard, slope_shift, curve_shift, centre
        if self.aim.size > 4 * SAMPLE:
            # Where there are too few segments, a few of them tell.
            some = np.linspace(0, self.segments - 1, max(2, SAMPLE >> self.low_bits), dtype=np.int64)
            if not self._settle(np.unique(some), base, slope, curve, precision):
                return None
        if not self._settle(np.arange(self.segments), base, slope, curve, precision):
            return None
        luts = self._luts(degree, _bits(base), _bits(slope), _bits(curve))
        return Coefficients(self, base, slope, curve, guard, slope_shift, curve_shift, centre, luts)

    def _settle(
        self,
        rows: np.ndarray,
        base: np.ndarray,
        slope: np.ndarray,
        curve: np.ndarray,
        precision: tuple[int, int, int, int, int],
    ) -> bool:
        """Fill in the bases of ``rows``, their slopes moved by a step where that helps; whether all fit."""
        degree, guard, slope_shift, curve_shift, centre = precision
        for nudge in (0, 1, -1) if degree else (0,):
            tried = slope[rows] + nudge if degree else slope
            bend = curve[rows] if degree == 2 else curve
            least, most = self._bases(rows, self.rise(tried, bend, slope_shift, curve_shift), guard, centre)
            done = least <= most
            base[rows[done]] = (least[done] + most[done]) >> 1
            if degree:
                slope[rows[done]] = tried[done]
            rows = rows[~done]
            if not len(rows):
                return True
        return False

    def _slopes(
        self, degree: int, guard: int, slope_shift: int, curve_shift: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slope and curve of each segment: the chord, and the parabola through ends and middle."""
        slope = curve = np.zeros(0, dtype=np.int64)
        if degree == 0:
            return slope, curve
        last = (1 << self.low_bits) - 1
        chord = (self.aim[:, -1] - self.aim[:, 0]) * 2.0**guard
        bend = 0.0 * chord
        if degree == 2:
            middle = last // 2
            half = (self.aim[:, middle] - self.aim[:, 0]) * 2.0**guard
            second = (chord / last - half / middle) / (last - middle)
            curve = np.floor(second * 2.0 ** (slope_shift + curve_shift) + 0.5).astype(np.int64)
            bend = ((curve * last) >> curve_shift) * last * 2.0**-slope_shift
        slope = np.floor((chord - bend) / last * 2.0**slope_shift + 0.5).astype(np.int64)
        return slope, curve

    def _bases(
        self, rows: np.ndarray, moved: np.ndarray, guard: int, centre: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The least and greatest base of each row that meets the bands at all its codes."""
        one = 1 << guard
        least = (self.plus.least[rows] * one - centre - moved).max(axis=1)
        most = ((self.plus.most[rows] + 1) * one - 1 - centre - moved).min(axis=1)
        if self.minus is not None:
            least = np.maximum(least, (centre - moved - (self.minus.most[rows] + 1) * one).max(axis=1))
            most = np.minimum(most, (centre - 1 - moved - self.minus.least[rows] * one).min(axis=1))
        free = most - least > FREE  # a row that no code reaches
        return np.where(free, 0, least), np.where(free, 0, most)

    @cached_property
    def _rates(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Least and greatest chord of the segments, and bend of their parabolas, in steps of the result."""
        last = (1 << self.low_bits) - 1
        chord = self.aim[:, -1] - self.aim[:, 0]
        middle = last // 2
        if middle == 0:
            return (float(chord.min()), float(chord.max())), (0.0, 0.0)
        half = self.aim[:, middle] - self.aim[:, 0]
        second = (chord / last - half / middle) / (last - middle)
        return (float(chord.min()), float(chord.max())), (float(second.min()), float(second.max()))

    def _least_bits(self, degree: int, guard: int, slope_shift: int, curve_shift: int) -> tuple[int, int]:
        """Bits of the slopes and curves, from their extremes; of a parabola's slopes, at least so many."""
        if degree == 0:
            return 0, 0
        (low, high), (flat, bent) = self._rates
        scale = 2.0**guard
        if degree == 1:
            last, rate = (1 << self.low_bits) - 1, 2.0**slope_shift
            return _bits_of(
                floor(low * scale / last * rate + 0.5), floor(high * scale / last * rate + 0.5)
            ), 0
        rate = 2.0 ** (slope_shift + curve_shift)
        return 1, _bits_of(floor(flat * scale * rate + 0.5), floor(bent * scale * rate + 0.5))

    @cached_property
    def _fixed_luts(self) -> float:
        """What folding, saturating and the float code take."""
        domain = self.domain
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
        if self.domain.fold == "odd":
            luts += level
        return luts

    @cached_property
    def _entry_luts(self) -> float:
        return _table_luts(self.segments, 1)


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


def _extended(aim: np.ndarray) -> np.ndarray:
    """Values at codes that never occur: on the line between, or beyond, the nearest that do."""
    flat = aim.ravel()
    known = np.flatnonzero(np.isfinite(flat))
    if len(known) == len(flat):
        return aim
    places = np.arange(len(flat))
    filled = np.interp(places, known, flat[known])
    if len(known) > 1:
        for end, inner, beyond in (
            (known[0], known[1], places[: known[0]]),
            (known[-1], known[-2], places[known[-1] + 1 :]),
        ):
            rate = (flat[end] - flat[inner]) / (end - inner)
            filled[beyond] = flat[end] + rate * (beyond - end)
    return np.asarray(filled.reshape(aim.shape))
