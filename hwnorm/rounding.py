"""Rounding far above the last digits in which machines differ, for decisions; and numbers for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def nearest(values: np.ndarray | float, step: np.ndarray | float) -> np.ndarray:
    """``values`` rounded to multiples of ``step`` (half to even): float64."""
    return np.asarray(np.rint(np.asarray(values, np.float64) / step) * step)


def significant(values: np.ndarray | float, bits: int) -> np.ndarray:
    """``values`` (finite) rounded to so many significant bits: float64 of the same shape."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))


def decimals(value: float, digits: int, marks: Sequence[float]) -> str:
    """``value`` with so many decimals, and more where it would be told as one of ``marks`` that it is not."""
    text = f"{value:.{digits}f}"
    while any(float(text) == mark != value for mark in marks):
        digits += 1
        text = f"{value:.{digits}f}"
    return text


def ulp_text(error: float) -> str:
    """An error in steps of the output: what is below 0.5 or 1 is told so."""
    return decimals(error, 3, (0.0, 0.5, 1.0))


def percent_text(percent: float) -> str:
    """A share in per cent: only none is 0, and only all is 100."""
    return f"{decimals(percent, 2, (0.0, 100.0))} %"
