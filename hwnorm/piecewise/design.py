"""Design of piecewise units: small tables of polynomial coefficients, addressed by the top bits.

A unit computes one function of one fixed-point signal. Its result y must lie in a band of allowed codes
at every code of the argument; whether a table entry with given slope exists is then a question of
integers, answered exactly, so no unit is ever built on an estimate of its rounding errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from hwnorm.errors import InputError
from hwnorm.operators.base import Interval
from hwnorm.piecewise.bands import Domain, Fold, Side, allowed, domains, spread
from hwnorm.piecewise.segments import MOST_ENTRIES, Coefficients, fits, float_luts

#: Ways to drop low bits of the argument: the most that the band allows, and so many fewer.
DROPS = 4
#: A unit is designed over at most 2**MAX_BITS codes; more would take gigabytes and minutes.
MAX_BITS = 22
#: Beyond so many codes that must be told apart, only the most low bits are dropped.
MANY = 1 << 16
#: Arguments of no more codes are not worth a float code.
FEW = 64


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
    #: Lowest bits that are ignored: of the argument, or of its float code.
    drop: int
    #: The argument saturates to so many bits, before any are dropped: unsigned when folded or never
    #: negative, else signed; None if it fits.
    saturate: int | None
    #: u is the float code (:func:`hwnorm.datapath.ir.float_code`) of so many bits; None if it is none.
    floated: int | None
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


class Values(Protocol):
    """What a unit is designed for: an operator, an expression."""

    def __hash__(self) -> int: ...

    def numpy(self, x: np.ndarray, /) -> Any:
        """Values at the float64 array ``x``."""


@dataclass(frozen=True)
class Limited:
    """Another function, its argument limited to a domain and its value to a range."""

    function: Values
    domain: Interval = (-np.inf, np.inf)
    range: Interval = (-np.inf, np.inf)

    def numpy(self, x: np.ndarray, /) -> np.ndarray:
        return np.asarray(np.clip(self.function.numpy(np.clip(x, *self.domain)), *self.range))


@lru_cache(maxsize=4096)
def design_unit(
    function: Values,
    low: int,
    high: int,
    frac: int,
    result_frac: int,
    tolerance: float,
    occurring: bytes | None = None,
) -> Unit:
    """The smallest unit found that is off by less than ``tolerance`` steps at every code that occurs.

    Args:
        function: finite over the codes, and at zero if that lies between them.
        low, high: least and greatest code of the argument, which has ``frac`` fractional bits.
        occurring: the codes that occur, in ascending order, as the bytes of an int64 array; None for
            all from low to high.
        result_frac: fractional bits of the result.
        tolerance: in steps of the result; at exactly 0.5 a tie counts as met.

    Raises:
        InputError: too many codes, values that are not finite or need too many bits, or a bound below
            half a step.
    """
    if high - low >= 1 << MAX_BITS:
        raise InputError(f"a table over {high - low + 1} codes; 2**{MAX_BITS} are possible: use fewer bits")
    codes = np.arange(low, high + 1) if occurring is None else np.frombuffer(occurring, dtype=np.int64)
    with np.errstate(all="ignore"):
        values = np.asarray(function.numpy(codes * 2.0**-frac), dtype=np.float64) * 2.0**result_frac
        centre = float(function.numpy(np.zeros(1))[0]) * 2.0**result_frac if low < 0 < high else 0.0
    if not np.isfinite(values).all() or np.abs(values).max() >= 2.0**40:
        raise InputError("its values need more than 40 bits, or are not finite")
    least, most = allowed(values, tolerance)
    if (least > most).any():
        raise InputError(f"no result is within {tolerance:g} ulp of every value")
    side = Side(least, most, values, values)
    if occurring is not None:
        side = spread(side, codes - low, high - low + 1)
    best: Coefficients | None = None
    plain = list(domains(low, side, centre))
    for domain in plain:
        best = _best(domain, best)
    for domain in plain:
        worth = best is None or float_luts((domain.size - 1).bit_length()) < best.luts
        if domain.start >= 0 and domain.size > FEW and worth and (floated := domain.as_float()):
            best = _best(floated, best)
    if best is None:
        raise InputError(
            f"needs a table of more than {MOST_ENTRIES} entries: allow more error or use fewer bits"
        )
    domain, precision = best.grid.strip.domain, best.precision
    return Unit(
        fold=domain.fold,
        magnitude=domain.magnitude,
        drop=domain.drop,
        saturate=domain.saturate,
        floated=domain.floated,
        low_bits=best.grid.low_bits,
        base=best.addressed(best.base),
        slope=best.addressed(best.slope),
        curve=best.addressed(best.curve),
        guard=precision.guard,
        slope_shift=precision.slope_shift,
        curve_shift=precision.curve_shift,
        centre=best.centre,
        error=best.error(),
    )


def _best(domain: Domain, best: Coefficients | None) -> Coefficients | None:
    """The cheapest entries for a domain, or ``best`` if that is cheaper."""
    coarser = domain.dropped()
    drops = DROPS if domain.size >> (len(coarser) - 1) <= MANY else 1
    for dropped in coarser[: -drops - 1 : -1]:
        for found in fits(dropped, best.luts if best else np.inf):
            if best is None or found.luts < best.luts:
                best = found
    return best
