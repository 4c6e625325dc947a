"""Design of piecewise units: small tables of polynomial coefficients, addressed by the top bits.

A unit computes one function of one fixed-point signal. Its result y must lie in a band of allowed codes
at every code of the argument; whether a table entry with given slope exists is then a question of
integers, answered exactly, so no unit is ever built on an estimate of its rounding errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal, Protocol

import numpy as np

from hwnorm.errors import InputError
from hwnorm.operators.base import Interval

#: Fractional bits that coefficients keep beyond the result's.
GUARD_BITS = (0, 1, 2, 3)
#: Bits that a slope keeps beyond what one step of the base needs over a whole segment.
SLOPE_BITS = (-1, 0, 1, 2)
#: Table sizes tried: the fewest segments that do, and up to so many doublings.
DOUBLINGS = 3
#: Ways to drop low bits of the argument: the most that the band allows, and so many fewer.
DROPS = 4
#: A unit is designed over at most 2**MAX_BITS codes; more would take gigabytes.
MAX_BITS = 24
#: A product that takes more LUTs than this is left to a DSP block.
DSP_LUTS = 108.0

#: No constraint, in result steps; far from overflow when scaled by guard bits.
_FREE = 1 << 46

Fold = Literal["none", "odd", "even"]


@dataclass(frozen=True, slots=True)
class Unit:
    """Tables for an argument u, the code of a signal after folding, dropping and saturating.

    With the offset o (the lowest ``low_bits`` of u) and the segment s (the bits above)::

        W = base[s] + floor((slope[s] + floor(curve[s] * o / 2**curve_shift)) * o / 2**slope_shift)

    has ``guard`` fractional bits beyond the result's. The result is floor(W / 2**guard), or for an odd
    function floor(((~W if a < 0 else W) + centre) / 2**guard). Without slopes the unit is a direct table.
    """

    fold: Fold
    #: Folding by a true magnitude; otherwise by the complement, which is a step short for a < 0.
    magnitude: bool
    #: Lowest bits of the argument that are ignored.
    drop: int
    #: u saturates to so many bits: unsigned when folded or never negative, else signed; None if it fits.
    saturate: int | None
    low_bits: int
    base: tuple[int, ...]
    slope: tuple[int, ...] = ()
    curve: tuple[int, ...] = ()
    guard: int = 0
    slope_shift: int = 0
    curve_shift: int = 0
    centre: int = 0
    #: The largest \|result - function\| over the argument's codes, in steps of the result.
    error: float = 0.0
    #: A rough count of LUTs, to tell units of one function apart.
    luts: float = 0.0


class Values(Protocol):
    """What a unit is designed for: an operator, an expression; it must be hashable."""

    def numpy(self, x: np.ndarray, /) -> Any:
        """Values at the float64 array ``x``."""


@dataclass(frozen=True)
class Limited:
    """Another function, its argument limited to a domain and its value to a range."""

    function: Values
    domain: Interval = (-np.inf, np.inf)
    range: Interval = (-np.inf, np.inf)

    def numpy(self, x: np.ndarray, /) -> np.ndarray:
        return np.clip(self.function.numpy(np.clip(x, *self.domain)), *self.range)


@dataclass(frozen=True)
class _Side:
    """What results are allowed at each u: least and greatest code, and the function's extremes."""

    least: np.ndarray
    most: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def merged(self, other: _Side) -> _Side:
        return _Side(
            np.maximum(self.least, other.least),
            np.minimum(self.most, other.most),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def map(self, least: Callable, most: Callable) -> _Side:
        """``least`` treats what bounds from below or is a maximum, ``most`` the others."""
        return _Side(least(self.least), most(self.most), most(self.low), least(self.high))

    def part(self, at: slice) -> _Side:
        return _Side(self.least[at], self.most[at], self.low[at], self.high[at])

    @property
    def feasible(self) -> bool:
        return bool((self.least <= self.most).all())


@dataclass(frozen=True)
class _Domain:
    """Bands over u = start, start + 1, ...: for a >= 0 (or all a), and for a < 0 of an odd function."""

    start: int
    plus: _Side
    minus: _Side | None
    fold: Fold
    magnitude: bool
    saturate: int | None = None
    drop: int = 0

    @property
    def sides(self) -> tuple[_Side, ...]:
        return (self.plus,) if self.minus is None else (self.plus, self.minus)

    @property
    def size(self) -> int:
        return len(self.plus.least)

    @property
    def feasible(self) -> bool:
        return all(side.feasible for side in self.sides)

    def mapped(self, start: int, change: Callable[[_Side], _Side]) -> _Domain:
        minus = None if self.minus is None else change(self.minus)
        return replace(self, start=start, plus=change(self.plus), minus=minus)

    def dropped(self, bits: int) -> _Domain:
        """Buckets of 2**bits neighbouring codes, which must share a result."""
        if bits == 0:
            return self
        start = self.start >> bits
        front = self.start - (start << bits)
        back = -(self.size + front) % (1 << bits)

        def change(side: _Side) -> _Side:
            rows = _padded(side, front, back)
            shape = (-1, 1 << bits)
            return rows.map(lambda v: v.reshape(shape).max(axis=1), lambda v: v.reshape(shape).min(axis=1))

        return replace(self.mapped(start, change), drop=self.drop + bits)


def _padded(side: _Side, front: int, back: int) -> _Side:
    """More entries at both ends, at which every result is allowed."""
    if front == back == 0:
        return side
    width = (front, back)
    return _Side(
        np.pad(side.least, width, constant_values=-_FREE),
        np.pad(side.most, width, constant_values=_FREE),
        np.pad(side.low, width, constant_values=np.inf),
        np.pad(side.high, width, constant_values=-np.inf),
    )


def allowed(values: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest integer that is off by less than ``tolerance`` (int64 each).

    At exactly half a step a tie counts as met: nothing can be nearer.
    """
    if tolerance > 0.5:
        return (
            np.floor(values - tolerance).astype(np.int64) + 1,
            np.ceil(values + tolerance).astype(np.int64) - 1,
        )
    return (
        np.ceil(values - tolerance).astype(np.int64),
        np.floor(values + tolerance).astype(np.int64),
    )


@lru_cache(maxsize=4096)
def design_unit(
    function: Values,
    low: int,
    high: int,
    frac: int,
    result_frac: int,
    tolerance: float,
) -> Unit:
    """The smallest unit found that is off by less than ``tolerance`` steps at every code low..high.

    Args:
        function: finite over the codes.
        low, high: least and greatest code of the argument, which has ``frac`` fractional bits.
        result_frac: fractional bits of the result.
        tolerance: in steps of the result; at exactly 0.5 a tie counts as met.

    Raises:
        InputError: too many codes, values that are not finite or need too many bits, or a bound below
            half a step.
    """
    if high - low >= 1 << MAX_BITS:
        raise InputError(f"a table over {high - low + 1} codes; 2**{MAX_BITS} are possible: use fewer bits")
    codes = np.arange(low, high + 1, dtype=np.int64)
    with np.errstate(all="ignore"):
        values = np.asarray(function.numpy(codes * 2.0**-frac), dtype=np.float64) * 2.0**result_frac
    if not np.isfinite(values).all() or np.abs(values).max() >= 2.0**40:
        raise InputError("its values need more than 40 bits, or are not finite")
    least, most = allowed(values, tolerance)
    if (least > most).any():
        raise InputError(f"no result is within {tolerance:g} ulp of every value")
    best: Unit | None = None
    for domain, centre in _domains(codes, values, _Side(least, most, values, values)):
        for unit in _units(domain, centre, best):
            if best is None or unit.luts < best.luts:
                best = unit
    assert best is not None  # a direct table of every code always does
    return best


# --- which codes share an entry -----------------------------------------------------------------


def _domains(codes: np.ndarray, values: np.ndarray, side: _Side) -> Iterator[tuple[_Domain, float]]:
    """The ways to fold the argument, each saturated as far as the bands allow; and the centre's value."""
    low, high = int(codes[0]), int(codes[-1])
    if not low < 0 < high:
        yield _saturated(_Domain(low, side, None, "none", False)), 0.0
        return
    zero = -low
    reach = min(high, -low)
    mirror, straight = values[zero - reach : zero + 1][::-1], values[zero : zero + reach + 1]
    slack = 1e-9 * (1.0 + np.abs(values).max())
    odd = bool(np.abs(mirror + straight - 2 * values[zero]).max() <= slack)
    even = bool(np.abs(mirror - straight).max() <= slack)
    for magnitude in (False, True) if odd or even else ():
        ahead, behind = side.part(slice(zero, None)), side.part(slice(zero - 1, None, -1))
        if magnitude:  # the complement of a negative code is its magnitude less one
            behind = _padded(behind, 1, 0)
        length = max(len(ahead.least), len(behind.least))
        ahead = _padded(ahead, 0, length - len(ahead.least))
        behind = _padded(behind, 0, length - len(behind.least))
        if odd:
            domain = _Domain(0, ahead, behind, "odd", magnitude)
        else:
            domain = _Domain(0, ahead.merged(behind), None, "even", magnitude)
        if domain.feasible:
            yield _saturated(domain), float(values[zero]) if odd else 0.0
    yield _saturated(_Domain(low, side, None, "none", False)), 0.0


def _saturated(domain: _Domain) -> _Domain:
    """The domain cut to the fewest bits of u beyond which the ends' results go on."""
    start, end = domain.start, domain.start + domain.size - 1
    if start != 0 and not start < 0 < end:
        return domain
    bits = max(end.bit_length(), (-start - 1).bit_length() if start < 0 else 0)
    best = domain
    for fewer in range(bits - 1, 0, -1):
        lowest, highest = (-(1 << fewer) if start < 0 else 0), (1 << fewer) - 1
        first, last = max(lowest, start), min(highest, end)

        head, tail = slice(0, first - start + 1), slice(last - start, None)

        def change(side: _Side, head: slice = head, tail: slice = tail) -> _Side:
            def ends(reduce: Callable, v: np.ndarray) -> np.ndarray:
                kept = v[head.stop - 1 : tail.start + 1].copy()
                kept[0] = reduce([kept[0], reduce(v[head])])
                kept[-1] = reduce([kept[-1], reduce(v[tail])])
                return kept

            return side.map(partial(ends, np.max), partial(ends, np.min))

        cut = domain.mapped(first, change)
        if not cut.feasible:
            break
        best = replace(cut, saturate=fewer + (start < 0))
    return best


# --- the coefficients -----------------------------------------------------------------------------


def _units(domain: _Domain, centre: float, best: Unit | None) -> Iterator[Unit]:
    """Units on a domain: direct tables, lines and parabolas, for several numbers of dropped bits."""
    most = 0
    size = domain.size
    while (further := domain.dropped(most + 1)).feasible and 1 < further.size < size:
        most, size = most + 1, further.size
    limit = best.luts if best else np.inf
    for drop in range(most, max(-1, most - DROPS), -1):
        reduced = domain.dropped(drop)
        found = list(_fits(reduced, centre, 0, limit))
        for degree in (1, 2):
            found += _fits(reduced, centre, degree, min([limit, *(unit.luts for unit in found)]))
        for unit in found:
            limit = min(limit, unit.luts)
            yield unit


def _fits(domain: _Domain, centre: float, degree: int, limit: float) -> Iterator[Unit]:
    """Units of one degree whose estimate is below ``limit``."""
    bits = max(1, (domain.size - 1).bit_length())
    if degree == 0:
        for guard in (0, 1) if domain.minus is not None else (0,):
            grid = _Grid.of(domain, centre, 0)
            unit = grid.unit(0, guard, 0)
            if unit is not None:
                yield unit
                return
        return
    fewest = None
    for low_bits in range(bits, degree, -1):
        if fewest is not None and low_bits <= fewest - DOUBLINGS:
            break
        grid = _Grid.of(domain, centre, low_bits)
        if grid.floor_luts() >= limit:
            break  # more segments only cost more
        if fewest is None and grid.unit(degree, GUARD_BITS[-1], SLOPE_BITS[-1]) is None:
            continue
        fewest = low_bits if fewest is None else fewest
        for guard in GUARD_BITS:
            for extra in SLOPE_BITS:
                unit = grid.unit(degree, guard, extra)
                if unit is not None:
                    limit = min(limit, unit.luts)
                    yield unit


@dataclass(frozen=True)
class _Grid:
    """A domain in rows, one a segment."""

    domain: _Domain
    centre: float
    low_bits: int
    start: int
    plus: _Side
    minus: _Side | None
    #: What the tables approximate, (segments, 2**low_bits) in result steps.
    aim: np.ndarray

    @classmethod
    def of(cls, domain: _Domain, centre: float, low_bits: int) -> _Grid:
        start = domain.start >> low_bits
        front = domain.start - (start << low_bits)
        back = -(domain.size + front) % (1 << low_bits)

        def rows(side: _Side) -> _Side:
            def shaped(v: np.ndarray) -> np.ndarray:
                return v.reshape(-1, 1 << low_bits)

            return _padded(side, front, back).map(shaped, shaped)

        plus = rows(domain.plus)
        minus = None if domain.minus is None else rows(domain.minus)
        lows, highs = [plus.low - centre], [plus.high - centre]
        if minus is not None:
            lows.append(centre - minus.high)
            highs.append(centre - minus.low)
        with np.errstate(invalid="ignore"):  # infinite where no code occurs
            aim = (np.min(lows, axis=0) + np.max(highs, axis=0)) / 2
        return cls(domain, centre, low_bits, start, plus, minus, _extended(aim))

    @property
    def segments(self) -> int:
        return len(self.aim)

    def floor_luts(self) -> float:
        """A count that no unit on this grid falls below: the base's table alone."""
        spread = float(self.aim.max() - self.aim.min())
        return _table_luts(self.segments, max(1, int(spread).bit_length()))

    def unit(self, degree: int, guard: int, extra: int) -> Unit | None:
        """The unit of these precisions, or None if some segment has no base that meets its bands."""
        run = np.arange(1 << self.low_bits, dtype=np.int64)
        last = len(run) - 1
        slope = curve = np.zeros(self.segments, dtype=np.int64)
        slope_shift = curve_shift = 0
        aim = self.aim * 2.0**guard
        if degree == 2:
            # The parabola through ends and middle; its error is cubic, so that is near the best.
            middle = run[last // 2]
            bend = (aim[:, -1] - aim[:, 0]) / last - (aim[:, last // 2] - aim[:, 0]) / max(1, middle)
            second = bend / max(1, last - middle)
            slope_shift = self.low_bits + extra
            curve_shift = self.low_bits
            curve = np.floor(second * 2.0 ** (slope_shift + curve_shift) + 0.5).astype(np.int64)
        if degree >= 1:
            slope_shift = self.low_bits + extra
            if slope_shift < 0:
                return None
            steps = ((curve[:, None] * run) >> curve_shift) * run
            rest = (aim[:, -1] - aim[:, 0]) - steps[:, -1] * 2.0**-slope_shift
            slope = np.floor(rest / last * 2.0**slope_shift + 0.5).astype(np.int64)
        centre = 0
        if self.minus is not None:
            # W + centre and ~W + centre then lie evenly about the centre once both are floored.
            centre = int(np.floor(self.centre * 2.0**guard + 2.0**guard / 2 + 0.5))
        base = np.zeros(self.segments, dtype=np.int64)
        open_rows = np.arange(self.segments)
        for nudge in (0, 1, -1) if degree else (0,):
            tried = slope[open_rows] + nudge
            moved = _rise(tried, curve[open_rows], run, slope_shift, curve_shift)
            least, most = self._bases(open_rows, moved, guard, centre)
            fits = least <= most
            done = open_rows[fits]
            base[done] = (least[fits] + most[fits]) >> 1
            slope[done] = tried[fits]
            open_rows = open_rows[~fits]
            if not len(open_rows):
                break
        else:
            return None
        return self._finished(base, slope, curve, run, guard, slope_shift, curve_shift, centre, degree)

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
        free = most - least > _FREE  # a row that no code reaches
        return np.where(free, 0, least), np.where(free, 0, most)

    def _finished(
        self,
        base: np.ndarray,
        slope: np.ndarray,
        curve: np.ndarray,
        run: np.ndarray,
        guard: int,
        slope_shift: int,
        curve_shift: int,
        centre: int,
        degree: int,
    ) -> Unit:
        level = base[:, None] + _rise(slope, curve, run, slope_shift, curve_shift)
        error = _distance((level + centre) >> guard, self.plus)
        if self.minus is not None:
            error = max(error, _distance((centre - 1 - level) >> guard, self.minus))
        unit = Unit(
            fold=self.domain.fold,
            magnitude=self.domain.magnitude,
            drop=self.domain.drop,
            saturate=None if self.domain.saturate is None else self.domain.saturate - self.domain.drop,
            low_bits=self.low_bits,
            base=self._addressed(base),
            slope=self._addressed(slope) if degree >= 1 else (),
            curve=self._addressed(curve) if degree == 2 else (),
            guard=guard,
            slope_shift=slope_shift,
            curve_shift=curve_shift,
            centre=centre,
            error=error,
        )
        return replace(unit, luts=estimated_luts(unit, self.domain))

    def _addressed(self, table: np.ndarray) -> tuple[int, ...]:
        """The entries in the order of their address, the segment's lowest bits."""
        size = 1 << max(0, (self.segments - 1).bit_length())
        at = np.arange(self.start, self.start + size)
        # Addresses that never occur repeat the last entry: logic synthesis merges them.
        entries = table[np.minimum(at - self.start, self.segments - 1)]
        placed = np.empty(size, dtype=np.int64)
        placed[at & (size - 1)] = entries
        return tuple(int(v) for v in placed)


def _rise(
    slope: np.ndarray, curve: np.ndarray, run: np.ndarray, slope_shift: int, curve_shift: int
) -> np.ndarray:
    return ((slope[:, None] + ((curve[:, None] * run) >> curve_shift)) * run) >> slope_shift


def _distance(result: np.ndarray, side: _Side) -> float:
    known = side.low <= side.high
    off = np.maximum(np.abs(result - side.low), np.abs(result - side.high))
    return float(off[known].max(initial=0.0))


def _extended(aim: np.ndarray) -> np.ndarray:
    """Values at codes that never occur, on the line through their neighbours that do."""
    flat = aim.ravel()
    known = np.flatnonzero(np.isfinite(flat))
    if len(known) == len(flat):
        return aim
    first, last = int(known[0]), int(known[-1])
    flat = flat.copy()
    for end, inner, places in (
        (first, first + 1, range(first)),
        (last, last - 1, range(last + 1, len(flat))),
    ):
        step = flat[end] - flat[inner] if first < last else 0.0
        at = np.asarray(places, dtype=np.int64)
        flat[at] = flat[end] + step * np.abs(at - end)
    return flat.reshape(aim.shape)


# --- what a unit takes ----------------------------------------------------------------------------


def _table_luts(entries: int, bits: int) -> float:
    """A LUT6 holds 64 entries of one bit; wider multiplexers come with it."""
    return bits * max(1.0, (1 << max(0, entries - 1).bit_length()) / 64)


def _bits(table: tuple[int, ...]) -> int:
    """Bits that a table's entries take; a sign only where one is negative."""
    low, high = min(table, default=0), max(table, default=0)
    return max(high.bit_length(), (-low - 1).bit_length() + 1 if low < 0 else 0)


def product_luts(a: int, b: int) -> float:
    """LUTs of an a-bit by b-bit product as rows of gated additions."""
    return float(a * b)


def estimated_luts(unit: Unit, domain: _Domain) -> float:
    """Roughly what a unit takes, no more exact than to tell units of one function apart."""
    argument = max(1, (domain.start + domain.size - 1).bit_length(), (-domain.start - 1).bit_length())
    luts = sum(_table_luts(len(table), _bits(table)) for table in (unit.base, unit.slope, unit.curve))
    if unit.fold != "none":
        luts += argument * (2 if unit.magnitude else 1)
    if unit.saturate is not None:
        luts += unit.saturate + 2
    level = _bits(unit.base) + 1
    if unit.slope:
        luts += min(product_luts(_bits(unit.slope), unit.low_bits), DSP_LUTS) + level
    if unit.curve:
        luts += min(product_luts(_bits(unit.curve), unit.low_bits), DSP_LUTS) + _bits(unit.slope)
    if unit.fold == "odd":
        luts += level
    return luts
