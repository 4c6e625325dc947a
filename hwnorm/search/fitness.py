"""How good a function is for a layer: its error on the profile, its cost in hardware."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwnorm.datapath.csd import snap
from hwnorm.datapath.lower import sketch
from hwnorm.errors import InputError
from hwnorm.expression import Expression, apply, constant
from hwnorm.fixed import FixedFormat
from hwnorm.profile import LayerProfile
from hwnorm.targets.cost import resources
from hwnorm.targets.target import Target

#: Weight of the tail term, and how many times the calibrated range it looks at: the values of the
#: method's paper (arXiv 2605.14047).
TAIL_WEIGHT = 0.0025
TAIL_REACH = 2.0
#: Gain and offset keep as few signed digits as lose at most this much of R2, up to the most.
SNAP_LOSS = 2e-4
MOST_DIGITS = 5

WORST = (math.inf, math.inf)


@dataclass(frozen=True)
class Candidate:
    """A function with its gain and offset, its error (1 - R2 + tail term) and estimated cost."""

    expression: Expression
    r2: float
    tail: float
    error: float
    cost: float


class Judge:
    """Scores shapes g(x): the function is a*g(x) + b with a and b fitted to the profile.

    Fitting gain and offset by least squares leaves the search only the shape to find (M. Keijzer,
    Improving symbolic regression with interval arithmetic and linear scaling, EuroGP 2003).
    """

    def __init__(
        self,
        profile: LayerProfile,
        formats: tuple[FixedFormat, FixedFormat],
        target: Target,
        clock_mhz: float,
    ) -> None:
        self._profile = profile
        self._formats = formats
        self._target = target
        self._clock_mhz = clock_mhz
        self._share = profile.weight / profile.weight.sum()
        self._bound = max(abs(profile.y_min), abs(profile.y_max))
        reach = TAIL_REACH * max(abs(profile.x_min), abs(profile.x_max))
        self._points = np.concatenate([profile.x, [-reach, reach]])
        self._known: dict[Expression, Candidate | None] = {}

    def candidate(self, shape: Expression) -> Candidate | None:
        """The fitted function of that shape, or None where it cannot be built or does not vary."""
        if shape not in self._known:
            self._known[shape] = self._evaluate(shape)
        return self._known[shape]

    def _evaluate(self, shape: Expression) -> Candidate | None:
        with np.errstate(all="ignore"):
            values = shape.numpy(self._points)
        if not np.isfinite(values).all():
            return None
        fitted = self._fit(shape, values[:-2])
        if fitted is None:
            return None
        try:
            nodes, latency = sketch(fitted, *self._formats, self._target, self._clock_mhz)
        except InputError:
            return None
        all_values = fitted.numpy(self._points)
        r2 = self._profile.r2(all_values[:-2])
        beyond = np.maximum(0.0, np.abs(all_values[-2:]) - self._bound)
        tail = TAIL_WEIGHT * float((beyond**2).sum()) / self._profile.variance
        cost = resources(nodes, latency, self._target).cost
        return Candidate(fitted, r2, tail, 1.0 - r2 + tail, cost)

    def _fit(self, shape: Expression, g: np.ndarray) -> Expression | None:
        share, y = self._share, self._profile.y
        mean_g, mean_y = float(share @ g), float(share @ y)
        spread = float(share @ (g - mean_g) ** 2)
        if spread < 1e-12:
            return None
        gain = float(share @ ((g - mean_g) * (y - mean_y))) / spread
        if abs(gain) < 1e-6:
            return None
        variance = self._profile.variance

        def snapped(value: float, loss_per_square: float) -> float:
            for digits in range(MOST_DIGITS + 1):
                near = snap(value, digits)
                if loss_per_square * (near - value) ** 2 / variance <= SNAP_LOSS:
                    break
            return near

        gain = snapped(gain, spread)
        if gain == 0.0:
            return None
        offset = snapped(mean_y - gain * mean_g, 1.0)
        return apply("add", apply("mul", constant(gain), shape), constant(offset))
