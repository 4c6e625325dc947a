"""Rounding far above the last digits in which machines differ: what decisions are made on."""

from __future__ import annotations

import numpy as np


def nearest(values: np.ndarray | float, step: np.ndarray | float) -> np.ndarray:
    """``values`` rounded to multiples of ``step`` (half to even): float64."""
    return np.asarray(np.rint(np.asarray(values, np.float64) / step) * step)


def significant(values: np.ndarray | float, bits: int) -> np.ndarray:
    """``values`` (finite) rounded to so many significant bits: float64 of the same shape."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))
