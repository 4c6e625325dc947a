"""Fixed-point formats of a layer's kernel, from what its profile has seen."""

from __future__ import annotations

import math

import numpy as np

from hwnorm.fixed import FixedFormat
from hwnorm.profile import LayerProfile


def input_format(profile: LayerProfile, bits: int) -> FixedFormat:
    """``bits`` wide, with the most fractional bits that still hold every x that was seen."""
    largest = max(abs(profile.x_min), abs(profile.x_max), 2.0**-bits)
    frac = bits - 1 - math.ceil(math.log2(largest * (1 + 2.0 ** (1 - bits))))
    return FixedFormat(bits, min(max(frac, 0), bits))


def output_format(profile: LayerProfile, bits: int) -> FixedFormat:
    """``bits`` wide, with the fractional bits that lose least of E[y|x] to steps and clamping.

    The mean squared loss is ulp^2 / 12 for rounding, plus that of clamping the profile's conditional
    means, weighted by how often they occur.
    """

    def loss(frac: int) -> float:
        fmt = FixedFormat(bits, frac)
        clamped = np.clip(profile.y, fmt.low, fmt.high)
        return float(fmt.ulp**2 / 12 + np.average((clamped - profile.y) ** 2, weights=profile.weight))

    return FixedFormat(bits, min(range(bits + 1), key=loss))
