"""What a function costs in hardware, as exactly as the search needs to know it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnorm.cost.cost import Resources, resources
from hwnorm.errors import InputError
from hwnorm.expression import Expression
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import sketch, sketch_unit
from hwnorm.rounding import nearest
from hwnorm.targets.target import Target

#: Operators whose own cells may be cheaper than one table: shifts, adders, multiplexers.
SHALLOW = frozenset({"x", "constant", "add", "sub", "neg", "abs", "min", "max", "clip", "relu", "hardtanh"})
#: Points of the guess.
_GRID = 1024
#: Steps of the result that one entry may stand for, and what a line may be off by.
_LEVEL, _BOW = 1.8, 0.6
#: Steps, in those of the result, to which values are rounded first.
_VALUE_STEP = 2.0**-28
#: The least and the most entries of a table, as powers of two.
_BITS = 2, 14


@dataclass(frozen=True)
class Limits:
    """What a datapath may take at most; None is no limit."""

    lut: int | None = None
    latency: int | None = None
    dsp: int | None = None

    def admit(self, used: Resources, latency: int) -> bool:
        """Whether a datapath keeps within them."""
        found = (used.lut, latency, used.dsp)
        most = (self.lut, self.latency, self.dsp)
        return all(m is None or f <= m for f, m in zip(found, most, strict=True))


class Pricer:
    """Prices functions of one input format to one output format, in LUT-equivalents."""

    def __init__(
        self,
        formats: tuple[FixedFormat, FixedFormat],
        target: Target,
        clock_mhz: float,
        limits: Limits,
    ) -> None:
        self._formats = formats
        self._target = target
        self._clock_mhz = clock_mhz
        self._limits = limits
        low, high = formats[0].low, formats[0].high
        #: Where :meth:`guess` wants a function's values: float64 (1,024,).
        self.grid = np.linspace(low, high, _GRID)

    def price(self, expression: Expression) -> float | None:
        """The cheaper of one unit for all of it and, where it is shallow, the operators as written.

        Returns:
            None where neither can be built within the limits.
        """
        ways = [sketch_unit, sketch] if is_shallow(expression) else [sketch_unit]
        best: float | None = None
        for way in ways:
            try:
                nodes, latency = way(expression, *self._formats, self._target, self._clock_mhz)
            except InputError:
                continue
            used = resources(nodes, latency, self._target)
            if self._limits.admit(used, latency) and (best is None or used.cost < best):
                best = used.cost
        return best

    def guess(self, values: np.ndarray) -> float:
        """Roughly what one unit for a function of these values at :attr:`grid` takes.

        From the range outside which the function is flat, and its steepest and most bent place in
        there: the entries of a direct table, or of one with slopes.
        """
        output = self._formats[1]
        if not np.isfinite(values).all():
            return np.inf
        values = nearest(np.clip(values, output.low, output.high) * 2.0**output.frac, _VALUE_STEP)
        middle, half = _GRID // 2, _GRID // 2
        while half > 8:
            inner = half // 2
            left, right = values[middle - half : middle - inner], values[middle + inner : middle + half]
            if max(np.ptp(left), np.ptp(right)) > _LEVEL:
                break
            half = inner
        kept = values[middle - half : middle + half]
        step = np.abs(np.diff(kept)).max(initial=0.0)
        bend = np.abs(np.diff(kept, 2)).max(initial=0.0)
        width = max(1, int(np.ptp(kept)).bit_length())
        saturation = width if half < _GRID // 2 else 0
        direct = _entries(len(kept) * step / _LEVEL)
        lines = _entries(len(kept) * np.sqrt(bend / (8 * _BOW)))
        run = max(0, direct - lines)  # bits of the offset within a segment
        sloped = _table(lines, width + 1) + _table(lines, run + 1) + run * (run + 1) + width
        return float(saturation + min(_table(direct, width), sloped))


def is_shallow(expression: Expression) -> bool:
    """Whether its own cells may beat one table: sums, limits, and products with constants."""
    return all(
        part.kind in SHALLOW or (part.kind == "mul" and part.args[0].is_constant)
        for part in expression.walk()
    )


def _entries(count: float) -> int:
    """The bits of an address for so many entries."""
    return int(np.clip(np.ceil(np.log2(max(count, 1.0))), *_BITS))


def _table(bits: int, width: int) -> float:
    return float(width * max(1.0, 2.0 ** (bits - 6)))
