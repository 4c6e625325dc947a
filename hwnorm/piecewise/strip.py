"""The bands of a domain in one row, out of which the segments of every width are cut."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hwnorm.piecewise.bands import Domain, padded


class Strip:
    """A domain, filled up at both ends to whole segments of any width."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        #: Bits of the offset in a segment that holds all codes.
        self.bits = max(1, (domain.size - 1).bit_length())
        self._first = domain.start >> self.bits << self.bits
        self._end = domain.start + domain.size
        ends = domain.start - self._first, -self._end % (1 << self.bits)
        self.plus = padded(domain.plus, *ends)
        self.minus = None if domain.minus is None else padded(domain.minus, *ends)
        #: Those of one precision alone: a wide domain's take megabytes.
        self._bounds: tuple[int, np.ndarray, np.ndarray] | None = None

    def cut(self, low_bits: int) -> slice:
        """The part that segments of 2**low_bits codes take."""
        start, end = self.domain.start >> low_bits, -(-self._end >> low_bits)
        return slice((start << low_bits) - self._first, (end << low_bits) - self._first)

    @cached_property
    def aim(self) -> np.ndarray:
        """What tables approximate, in result steps."""
        low, high = self.plus.low, self.plus.high
        with np.errstate(invalid="ignore"):  # infinite where no code occurs
            if self.minus is not None:
                centre = self.domain.centre
                low = np.minimum(low - centre, centre - self.minus.high)
                high = np.maximum(high - centre, centre - self.minus.low)
            aim = (low + high) / 2
        return _extended(aim)

    def centre(self, guard: int) -> int:
        """What an odd function's W and ~W get added, in steps of so many guard bits."""
        if self.minus is None:
            return 0
        # W + centre and ~W + centre then lie evenly about the centre once both are floored.
        return int(np.floor(self.domain.centre * 2.0**guard + 2.0**guard / 2 + 0.5))

    def bounds(self, guard: int) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest W of so many guard bits that meets the bands, at each code."""
        if self._bounds is None or self._bounds[0] != guard:
            self._bounds = (guard, *self._made_bounds(guard))
        return self._bounds[1:]

    def _made_bounds(self, guard: int) -> tuple[np.ndarray, np.ndarray]:
        one, centre = 1 << guard, self.centre(guard)
        least = self.plus.least * one - centre
        most = (self.plus.most + 1) * one - 1 - centre
        if self.minus is None:
            return least, most
        return (
            np.maximum(least, centre - (self.minus.most + 1) * one),
            np.minimum(most, centre - 1 - self.minus.least * one),
        )


def _extended(aim: np.ndarray) -> np.ndarray:
    """Values at codes that never occur: on the line between, or beyond, the nearest that do."""
    finite = np.isfinite(aim)
    if finite.all():
        return aim
    known, unknown = np.flatnonzero(finite), np.flatnonzero(~finite)
    filled = aim.copy()
    filled[unknown] = np.interp(unknown, known, aim[known])
    if len(known) > 1:
        for end, inner, beyond in (
            (known[0], known[1], slice(0, known[0])),
            (known[-1], known[-2], slice(known[-1] + 1, None)),
        ):
            rate = (aim[end] - aim[inner]) / (end - inner)
            filled[beyond] = aim[end] + rate * (np.arange(len(aim))[beyond] - end)
    return filled
