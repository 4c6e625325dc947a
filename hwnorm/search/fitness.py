"""How good a function is for a layer: its error on the profile, its cost in hardware."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, parse
from hwnorm.fixed import FixedFormat
from hwnorm.profile import LayerProfile
from hwnorm.rounding import nearest
from hwnorm.search.canonical import canonical
from hwnorm.search.constants import Fit, Points, fit, snapped, with_gain
from hwnorm.search.price import Limits, Pricer, is_shallow
from hwnorm.search.tape import Tape
from hwnorm.targets.target import Target

#: Weight of the tail term, and how many times the calibrated range it looks at: the values of the
#: method's paper (arXiv 2605.14047).
TAIL_WEIGHT = 0.0025
TAIL_REACH = 2.0
#: Points beyond either end of the calibrated range at which the tails are looked at.
_TAIL_POINTS = 9
#: What snapping may cost of R2 in all. In a table digits are free, so that the first is small; a shallow
#: function, whose digits are adders, is offered with fewer too.
SNAP_LOSS = 2e-5
SHALLOW_LOSSES = (2e-4, 2e-3)
#: Factors of x that a fit begins with, beside one.
_STRETCHES = (0.25, 4.0)
#: Steps of Levenberg-Marquardt: from each beginning, from the best of them, and of a shape to be priced.
_FIRST_STEPS, _STEPS, _MORE_STEPS = 2, 8, 12

#: What explains less than this share of the ceiling stands in for nothing.
LEAST_SHARE = 0.5

EVOLVED = "evolved"

#: Decimals of R2, of errors and of all else that functions are compared by: what is alike in these is equal,
#: and of equals the cheaper wins, then the one that was met first.
DECIMALS = 7
#: Steps, in those of the output, to which values are rounded before they are quantized.
_VALUE_STEP = 2.0**-28
NO_LIMITS = Limits()


def settled(value: float) -> float:
    """A share of the variance as it is compared and told of: far above what machines differ by."""
    return round(value, DECIMALS) + 0.0


@dataclass(frozen=True)
class Candidate:
    """A function with its gain and offset, its error and estimated cost.

    The error is 1 - R2 + tail term, R2 being that of its values rounded to the output format.
    """

    expression: Expression
    r2: float
    tail: float
    error: float
    cost: float
    family: str = EVOLVED

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return vars(self) | {"expression": str(self.expression)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Candidate:
        """Rebuild a candidate from :meth:`to_json`."""
        return cls(**data | {"expression": parse(data["expression"])})


@dataclass(frozen=True)
class Tuned:
    """A shape with fitted constants: the error of the best gain and offset, and what it may cost."""

    shape: Expression
    error: float
    guess: float


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
        limits: Limits = NO_LIMITS,
    ) -> None:
        self.profile = profile
        self.points = Points(profile)
        #: A quarter of them, for finding where a fit begins best.
        self._coarse = Points(profile, together=4)
        self.formats = formats
        self._pricer = Pricer(formats, target, clock_mhz, limits)
        self._variance = profile.variance
        self._ceiling = profile.ceiling_r2
        self._bound = max(abs(profile.y_min), abs(profile.y_max))
        reach = TAIL_REACH * max(abs(profile.x_min), abs(profile.x_max))
        left = np.linspace(-reach, profile.x_min, _TAIL_POINTS)
        self._beyond = np.concatenate([left, np.linspace(profile.x_max, reach, _TAIL_POINTS)])
        #: Where a shape that is to be guessed at is evaluated, at once.
        self._probes = np.concatenate([self._beyond, self._pricer.grid])

    def tail(self, function: Expression) -> float:
        """What a function does outside the calibrated range, at up to twice the largest \\|x\\|.

        The greatest excess over the \\|y\\| that were seen, squared, on either side, over the variance of
        y; the function counts saturated to the output format, as the hardware does it. Infinite where it
        has no value.
        """
        return self._tail(function.numpy(self._beyond))

    def _tail(self, values: np.ndarray) -> float:
        """The tail term of the values at :attr:`_beyond`."""
        if not np.isfinite(values).all():
            return math.inf
        sides = np.abs(np.clip(values, self.formats[1].low, self.formats[1].high)).reshape(2, -1).max(1)
        excess = sum(max(0.0, float(side) - self._bound) ** 2 for side in sides)
        return settled(TAIL_WEIGHT * excess / self._variance)

    def tuned(self, shape: Expression) -> Tuned | None:
        """A canonical shape with its constants fitted; None where it is not finite or explains nothing.

        The fit goes on from the best of a few beginnings: the constants as they are, and those that
        stretch x.
        """
        stretched = (canonical(shape.at(apply("mul", constant(c), X))) for c in _STRETCHES)
        starts = dict.fromkeys([shape, *stretched])  # where the stretch is a gain, once
        begun = [self._fit(start, _FIRST_STEPS, self._coarse) for start in starts if start is not None]
        known = [pair for pair in begun if pair is not None]
        if not known:
            return None
        # Where two end at the same minimum, the first.
        tape, first = min(known, key=lambda pair: settled(pair[1].loss / self._variance))
        found = fit(tape, first.theta, self.points, _STEPS)
        try:
            fitted = None if found is None else tape.expression(found.theta)
        except InputError:
            return None
        function = None if fitted is None else with_gain(fitted, self.points, 0.0)
        if found is None or fitted is None or function is None:
            return None
        values = function.numpy(self._probes)
        tail = self._tail(values[: len(self._beyond)])
        error = settled(1.0 - self._ceiling + found.loss / self._variance + tail)
        if not error < 1.0 - LEAST_SHARE * self._ceiling:
            return None
        return Tuned(fitted, error, self._pricer.guess(values[len(self._beyond) :]))

    def _fit(self, shape: Expression, steps: int, points: Points) -> tuple[Tape, Fit] | None:
        tape = Tape(shape)
        found = fit(tape, tape.theta, points, steps)
        return None if found is None else (tape, found)

    def candidates(self, shape: Expression, family: str = EVOLVED) -> list[Candidate]:
        """A shape as functions with few digits, each with its price; none where nothing can be built."""
        begun = self._fit(shape, _MORE_STEPS, self.points)
        if begun is None:
            return []
        tape, found = begun
        losses = [SNAP_LOSS]
        if is_shallow(shape):
            losses.extend(SHALLOW_LOSSES)
        functions = [snapped(tape, found, self.points, loss * self._variance) for loss in losses]
        made = (self.priced(f, family) for f in dict.fromkeys(functions) if f is not None)
        return [candidate for candidate in made if candidate is not None]

    def priced(self, function: Expression, family: str) -> Candidate | None:
        """A whole function, its error and its price."""
        with np.errstate(all="ignore"):
            values = function.numpy(self.points.x)
            tail = self.tail(function)
        if not (np.isfinite(values).all() and math.isfinite(tail)):
            return None
        r2 = settled(self.profile.r2(values))
        cost = self._pricer.price(function) if r2 > LEAST_SHARE * self._ceiling else None
        if cost is None:
            return None
        output = self.formats[1]
        near = nearest(values, output.ulp * _VALUE_STEP)  # a tie of rounding must not hang on a last digit
        rounded = self.profile.r2(output.to_float(output.quantize(near)))
        return Candidate(function, r2, tail, settled(1.0 - rounded + tail), cost, family)

    def candidate(self, shape: Expression) -> Candidate | None:
        """The shape as it is, with gain and offset fitted; None where it cannot be built or does not vary."""
        function = with_gain(shape, self.points, SNAP_LOSS * self._variance)
        return None if function is None else self.priced(function, EVOLVED)
