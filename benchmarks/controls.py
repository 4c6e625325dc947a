"""Functions to compare with, fitted to a layer's profile: what others put in the place of norms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

from hwnorm.profile import LayerProfile


def tanh_without_gain(profile: LayerProfile) -> str:
    """tanh(a x), the baseline of arXiv 2605.14047."""
    return f"tanh({_best_scale(profile, lambda a: np.tanh(a * profile.x)):.6g}*x)"


def dyt(profile: LayerProfile) -> str:
    """c tanh(a x) + d, as DyT (arXiv 2503.10622), with its gain and offset fitted."""

    def fitted(a: float) -> np.ndarray:
        return _fit(profile, np.tanh(a * profile.x))[2]

    a = _best_scale(profile, fitted)
    gain, offset, _ = _fit(profile, np.tanh(a * profile.x))
    return f"{gain:.6g}*tanh({a:.6g}*x) + {offset:.6g}"


def clip_affine(profile: LayerProfile) -> str:
    """c clip(x, low, high) + d, with the limits from a grid of quantiles."""
    order = np.cumsum(profile.weight) / profile.weight.sum()
    low_points, high_points = (
        np.interp(q, order, profile.x) for q in ((0.0, 0.002, 0.01, 0.03, 0.1), (0.9, 0.97, 0.99, 0.998, 1.0))
    )
    best: tuple[float, float, float] | None = None
    for low in low_points:
        for high in high_points:
            error = profile.mse(_fit(profile, np.clip(profile.x, low, high))[2])
            if best is None or error < best[0]:
                best = error, low, high
    assert best is not None
    _, low, high = best
    gain, offset, _ = _fit(profile, np.clip(profile.x, low, high))
    return f"{gain:.6g}*clip(x, {low:.6g}, {high:.6g}) + {offset:.6g}"


#: What each is called in tables.
CONTROLS: dict[str, Callable[[LayerProfile], str]] = {
    "tanh(ax), no gain": tanh_without_gain,
    "DyT, with gain": dyt,
    "clip-affine": clip_affine,
}


def _fit(profile: LayerProfile, g: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Gain and offset by least squares, and the fitted values, (b,)."""
    share = profile.weight / profile.weight.sum()
    centred = g - share @ g
    gain = float(share @ (centred * profile.y) / (share @ centred**2))
    offset = float(share @ profile.y - gain * (share @ g))
    return gain, offset, gain * g + offset


def _best_scale(profile: LayerProfile, function: Callable[[float], np.ndarray]) -> float:
    """The a > 0 of least squared error of ``function(a)``."""
    spread = float(np.sqrt(np.average(profile.x**2, weights=profile.weight)))
    found = minimize_scalar(
        lambda t: profile.mse(function(np.exp(t) / spread)), bounds=(-5.0, 4.0), method="bounded"
    )
    return float(np.exp(found.x) / spread)
