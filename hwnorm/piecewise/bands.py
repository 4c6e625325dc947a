"""Which results a piecewise unit may give: bands of allowed codes, and the ways to share entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from hwnorm.datapath.cells.float_code import float_code

#: No constraint, in result steps; far from overflow when scaled by guard bits.
FREE = 1 << 46

#: Steps by which a result stays inside its tolerance: far more than double precision can be off.
MARGIN = 1e-9

#: Bits of a mantissa behind its leading one that are tried: fewer make a smaller domain.
MANTISSA_BITS = (12, 16)

Fold = Literal["none", "odd", "even"]


@dataclass(frozen=True)
class Side:
    """What results are allowed at each u: least and greatest code, and the function's extremes."""

    least: np.ndarray
    most: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def merged(self, other: Side) -> Side:
        return Side(
            np.maximum(self.least, other.least),
            np.minimum(self.most, other.most),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def map(self, least: Callable, most: Callable) -> Side:
        """``least`` treats what bounds from below or is a maximum, ``most`` the others."""
        return Side(least(self.least), most(self.most), most(self.low), least(self.high))

    def part(self, at: slice) -> Side:
        return Side(self.least[at], self.most[at], self.low[at], self.high[at])

    @property
    def feasible(self) -> bool:
        return bool((self.least <= self.most).all())


@dataclass(frozen=True)
class Domain:
    """Bands over u = start, start + 1, ...: for a >= 0 (or all a), and for a < 0 of an odd function."""

    start: int
    plus: Side
    minus: Side | None
    fold: Fold
    magnitude: bool
    #: The value about which an odd function is odd.
    centre: float = 0.0
    saturate: int | None = None
    #: u is the float code of so many bits of the argument.
    floated: int | None = None
    drop: int = 0

    @property
    def sides(self) -> tuple[Side, ...]:
        return (self.plus,) if self.minus is None else (self.plus, self.minus)

    @property
    def size(self) -> int:
        return len(self.plus.least)

    @property
    def feasible(self) -> bool:
        return all(side.feasible for side in self.sides)

    def mapped(self, start: int, change: Callable[[Side], Side]) -> Domain:
        minus = None if self.minus is None else change(self.minus)
        return replace(self, start=start, plus=change(self.plus), minus=minus)

    def as_float(self) -> Domain | None:
        """The domain over float codes of u, for functions that are steep near zero; u >= 0.

        With as many bits of mantissa as the bands ask for; None if none of MANTISSA_BITS do.
        """
        for mantissa_bits in MANTISSA_BITS:
            domain = self._as_float(mantissa_bits)
            if domain.feasible:
                return domain
        return None

    def _as_float(self, mantissa_bits: int) -> Domain:
        bits = (self.start + self.size - 1).bit_length()
        drop = max(0, bits - 1 - mantissa_bits)
        places = float_code(np.arange(self.start, self.start + self.size), bits) >> drop
        first = np.flatnonzero(np.append(True, np.diff(places) > 0))
        size = (int(places[-1]) | ((1 << (bits - 1 - drop)) - 1)) + 1

        def change(side: Side) -> Side:
            merged = side.map(
                lambda v: np.maximum.reduceat(v, first), lambda v: np.minimum.reduceat(v, first)
            )
            return spread(merged, places[first], size)

        return replace(self.mapped(0, change), floated=bits, drop=drop)

    def dropped(self) -> list[Domain]:
        """The domains that have 0, 1, 2, ... low bits ignored, as many as can be."""
        found = [self]
        while (further := found[-1]._halved()).feasible and 1 < further.size < found[-1].size:
            found.append(further)
        return found

    def _halved(self) -> Domain:
        """Buckets of two neighbouring codes, which must share a result."""
        front = self.start & 1
        back = (self.size + front) & 1
        halved = self.mapped(self.start >> 1, partial(_halved, front=front, back=back))
        return replace(halved, drop=self.drop + 1)


def _halved(side: Side, front: int, back: int) -> Side:
    rows = padded(side, front, back)
    return rows.map(lambda v: np.maximum(v[::2], v[1::2]), lambda v: np.minimum(v[::2], v[1::2]))


def padded(side: Side, front: int, back: int) -> Side:
    """More entries at both ends, at which every result is allowed."""
    if front == back == 0:
        return side

    def fill(v: np.ndarray, empty: float) -> np.ndarray:
        out = np.full(front + len(v) + back, empty, dtype=v.dtype)
        out[front : front + len(v)] = v
        return out

    return _filled(side, fill)


def allowed(values: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest integer that is off by less than ``tolerance`` (int64 each).

    At exactly half a step a tie counts as met: nothing can be nearer.
    """
    if tolerance > 0.5:
        tolerance -= MARGIN
        return (
            np.floor(values - tolerance).astype(np.int64) + 1,
            np.ceil(values + tolerance).astype(np.int64) - 1,
        )
    return (
        np.ceil(values - tolerance).astype(np.int64),
        np.floor(values + tolerance).astype(np.int64),
    )


def spread(side: Side, places: np.ndarray, size: int) -> Side:
    """A side whose entries lie at ``places`` among ``size``; elsewhere every result is allowed."""

    def put(v: np.ndarray, empty: float) -> np.ndarray:
        out = np.full(size, empty, dtype=v.dtype)
        out[places] = v
        return out

    return _filled(side, put)


def _filled(side: Side, fill: Callable[[np.ndarray, float], np.ndarray]) -> Side:
    """A side of more entries: what is allowed at the further ones is everything."""
    return Side(
        fill(side.least, -FREE), fill(side.most, FREE), fill(side.low, np.inf), fill(side.high, -np.inf)
    )


def domains(low: int, side: Side, centre: float) -> Iterator[Domain]:
    """The ways to fold codes from ``low`` up, each saturated as far as the bands allow.

    ``centre`` is the function's value at zero, in steps of the result.
    """
    zero, high = -low, low + len(side.low) - 1
    straight = _saturated(Domain(low, side, None, "none", False))
    if not low < 0 < high:
        yield straight
        return
    reach = min(high, -low)
    mirrored, values = side.low[zero - reach : zero][::-1], side.low[zero + 1 : zero + reach + 1]
    both = np.isfinite(mirrored) & np.isfinite(values)
    mirrored, values = mirrored[both], values[both]
    slack = 1e-9 * (1.0 + max(abs(centre), np.abs(values).max(initial=0.0)))
    odd = len(values) > 0 and bool(np.abs(mirrored + values - 2 * centre).max() <= slack)
    even = len(values) > 0 and bool(np.abs(mirrored - values).max() <= slack)
    for magnitude in (False, True) if odd or even else ():
        ahead, behind = side.part(slice(zero, None)), side.part(slice(zero - 1, None, -1))
        if magnitude:  # the complement of a negative code is its magnitude less one
            behind = padded(behind, 1, 0)
        length = max(len(ahead.least), len(behind.least))
        ahead = padded(ahead, 0, length - len(ahead.least))
        behind = padded(behind, 0, length - len(behind.least))
        if odd:
            domain = Domain(0, ahead, behind, "odd", magnitude, centre)
        else:
            domain = Domain(0, ahead.merged(behind), None, "even", magnitude)
        if domain.feasible:
            yield _saturated(domain)
    yield straight


def _saturated(domain: Domain) -> Domain:
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

        def change(side: Side, head: slice = head, tail: slice = tail) -> Side:
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
