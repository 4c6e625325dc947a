"""A signal of a datapath under construction."""

from __future__ import annotations

from dataclasses import dataclass

from hwnorm.operators.base import Interval


@dataclass(frozen=True, slots=True)
class Wire:
    """A signal in a datapath under construction.

    ``low`` and ``high`` bound its codes. ``real`` holds the exact values that it stands for, and
    ``error`` bounds its distance from them, both as plain numbers; that is the proof of a kernel whose
    codes are too many to be tried.
    """

    index: int
    frac: int
    low: int
    high: int
    real: Interval
    error: float

    @property
    def largest(self) -> float:
        """The largest magnitude of its values."""
        return float(max(abs(self.low), abs(self.high)) * 2.0**-self.frac)
