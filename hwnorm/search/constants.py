"""The constants of a shape: fitted to a profile by Levenberg-Marquardt, then snapped to few digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnorm.errors import InputError
from hwnorm.expression import Expression, apply, constant
from hwnorm.lowering.csd import snap
from hwnorm.profile import LayerProfile
from hwnorm.search.tape import Tape

#: The most signed digits that a snapped constant keeps.
MOST_DIGITS = 10
#: A limit of clip stays at least this far from zero.
_LEAST_LIMIT = 2.0**-8
#: Levenberg-Marquardt: the first damping, what it falls and rises by, and when it gives up.
_DAMPING, _EASED, _RAISED, _MOST_DAMPING = 1e-2, 0.2, 8.0, 1e6
#: A step that gains less than this share of the loss is the last one.
_ENOUGH = 1e-5
#: Steps of the others after one constant was snapped.
_SNAP_STEPS = 3


class Points:
    """What constants are fitted to: the profile's bins with their shares."""

    def __init__(self, profile: LayerProfile) -> None:
        self.x, self.y = profile.x, profile.y
        self.share = profile.weight / profile.weight.sum()
        self.mean_y = float(self.share @ self.y)
        self.centred_y = self.y - self.mean_y
        #: Mean square of what is explained at best, E[y|x] about its mean.
        self.spread = float(self.share @ self.centred_y**2)


@dataclass(frozen=True)
class Fit:
    """``gain * shape + offset``, the shape's constants, and its mean square distance from E[y|x]."""

    theta: np.ndarray
    gain: float
    offset: float
    loss: float


@dataclass(frozen=True)
class _Linear:
    """The best gain and offset for given values of the shape (weighted least squares)."""

    gain: float
    offset: float
    loss: float
    residual: np.ndarray
    centred: np.ndarray
    square: float


def _linear(g: np.ndarray, points: Points) -> _Linear | None:
    mean = float(points.share @ g)
    centred = g - mean
    square = float(points.share @ centred**2)
    if not 1e-12 < square < 1e12:
        return None
    gain = float(points.share @ (centred * points.centred_y)) / square
    residual = points.centred_y - gain * centred
    loss = float(points.share @ residual**2)
    return _Linear(gain, points.mean_y - gain * mean, loss, residual, centred, square)


def fit(
    tape: Tape, theta: np.ndarray, points: Points, steps: int, held: frozenset[int] = frozenset()
) -> Fit | None:
    """Fit the constants ``theta`` of a shape, those in ``held`` excepted, and its gain and offset.

    Gain and offset are solved for at every step (variable projection; L. Kaufman, A variable projection
    method for solving separable nonlinear least squares problems, BIT 15, 1975), so that
    Levenberg-Marquardt works on the constants inside alone.

    Returns:
        None where the shape is not finite, or does not vary.
    """
    free = [j for j in range(len(theta)) if j not in held]
    limits = [j for j in tape.limits if j not in held]
    with np.errstate(all="ignore"):
        made = tape.run(theta, points.x)
        now = _linear(made[-1], points)
        damping = _DAMPING
        for _ in range(steps if free and now is not None else 0):
            assert now is not None
            rates = tape.jacobian(theta, made)[free]
            # Without BLAS, whose sums depend on its number of threads.
            rates -= np.einsum("kn,n->k", rates, points.share)[:, None]
            parallel = np.einsum("kn,n->k", rates, points.share * now.centred) / now.square
            rates -= parallel[:, None] * now.centred
            rates *= now.gain
            weighted = rates * points.share
            normal = np.einsum("in,jn->ij", weighted, rates)
            pull = np.einsum("kn,n->k", weighted, now.residual)
            if not np.isfinite(normal).all():
                break
            scale = np.maximum(np.diag(normal), 1e-12)
            before, improved = now.loss, False
            while damping < _MOST_DAMPING:
                tried = theta.copy()
                damped = normal.copy()
                damped.flat[:: len(free) + 1] += damping * scale
                tried[free] += np.linalg.solve(damped, pull)
                tried[limits] = np.maximum(tried[limits], _LEAST_LIMIT)
                further = tape.run(tried, points.x, made)
                then = _linear(further[-1], points)
                if then is not None and then.loss < now.loss:
                    theta, made, now, improved = tried, further, then, True
                    damping *= _EASED
                    break
                damping *= _RAISED
            if not improved or before - now.loss < _ENOUGH * before:
                break
    if now is None or abs(now.gain) < 1e-6:
        return None
    return Fit(theta, now.gain, now.offset, now.loss)


def snapped(tape: Tape, found: Fit, points: Points, allowed: float) -> Expression | None:
    """The fitted function with few signed digits in every constant: as few as cost ``allowed`` loss in all.

    One constant after the other takes the fewest digits with which the others, fitted again, lose at most
    its share of ``allowed`` (in the unit of :attr:`Fit.loss`).

    Returns:
        None where a snapped constant is one that the operator does not allow, or gain is none.
    """
    share = allowed / (len(found.theta) + 2)
    held: set[int] = set()
    most = found.loss
    for j in range(len(found.theta)):
        held.add(j)
        most += share
        for digits in range(j in tape.limits, MOST_DIGITS + 1):  # none at all drops a term
            theta = found.theta.copy()
            theta[j] = snap(theta[j], digits)
            tried = fit(tape, theta, points, 0)
            if tried is not None and tried.loss > most:
                tried = fit(tape, theta, points, _SNAP_STEPS, frozenset(held))
            if tried is not None and (tried.loss <= most or digits == MOST_DIGITS):
                found = tried
                break
    try:
        shape = tape.expression(found.theta)
    except InputError:
        return None
    return with_gain(shape, points, share)


def with_gain(shape: Expression, points: Points, share: float) -> Expression | None:
    """``gain * shape + offset`` by least squares, each of the fewest digits that lose at most ``share``.

    Returns:
        None where the shape is not finite, does not vary, or explains nothing.
    """
    with np.errstate(all="ignore"):
        found = _linear(shape.numpy(points.x), points)
    if found is None or abs(found.gain) < 1e-6:
        return None
    gain = _snapped(found.gain, share / found.square)
    mean = (points.mean_y - found.offset) / found.gain
    offset = _snapped(points.mean_y - gain * mean, share)
    return apply("add", apply("mul", constant(gain), shape), constant(offset))


def _snapped(value: float, most: float) -> float:
    """``value`` with the fewest signed digits that leave it off by a square of at most ``most``."""
    near = 0.0
    for digits in range(MOST_DIGITS + 1):
        near = snap(value, digits)
        if (near - value) ** 2 <= most:
            break
    return near
