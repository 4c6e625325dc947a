"""The constants of a shape: fitted to a profile by Levenberg-Marquardt, then snapped to few digits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hwnorm.errors import InputError
from hwnorm.expression import Expression, apply, constant
from hwnorm.lowering.csd import snap
from hwnorm.profile import LayerProfile
from hwnorm.rounding import significant
from hwnorm.search.tape import Tape

#: The most signed digits that a snapped constant keeps.
MOST_DIGITS = 10
#: Significant bits of what is snapped: the digits of a number near a tie must not hang on its last ones.
_SNAPPED_BITS = 32
#: A limit of clip stays at least this far from zero.
_LEAST_LIMIT = 2.0**-8
#: Levenberg-Marquardt: the first damping, what it falls and rises by, and its limits.
_DAMPING, _EASED, _RAISED, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 0.2, 8.0, 1e-5, 1e6
#: A constant that gain and offset can make up for is damped as if it mattered by this share.
_LEAST_SCALE = 1e-6
#: A step that gains less than this share of the loss is the last one ...
_ENOUGH = 1e-5
#: ... and one that changes it by less than this share, or this share of what is explained, is none: what
#: decides must be far above the rounding of the sums.
_NOTHING, _ZERO = 1e-6, 1e-9
#: Significant digits of a constant that is being fitted: rounding does not differ from machine to machine.
_DIGITS = 5
#: Steps of the others after one constant was snapped.
_SNAP_STEPS = 3


class Points:
    """What constants are fitted to: the means of a profile's bins, with their shares."""

    def __init__(self, profile: LayerProfile, together: int = 1) -> None:
        """Of a profile, so many neighbouring bins as one."""
        first = np.arange(0, len(profile.x), together)
        weight = np.add.reduceat(profile.weight, first)
        self.x, self.y = (np.add.reduceat(profile.weight * v, first) / weight for v in (profile.x, profile.y))
        self.share = weight / weight.sum()
        self.mean_y = _dot(self.share, self.y)
        self.centred_y = self.y - self.mean_y
        #: Mean square of what is explained at best, E[y|x] about its mean.
        self.spread = _dot(self.share, self.centred_y**2)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Without BLAS, whose sums depend on the machine and on its number of threads."""
    return float(np.einsum("n,n->", a, b))


@dataclass(frozen=True)
class Fit:
    """``gain * shape + offset``, the shape's constants, and its mean square distance from E[y|x]."""

    theta: np.ndarray
    gain: float
    offset: float
    loss: float


class _Linear(NamedTuple):
    """The best gain and offset for given values of the shape (weighted least squares)."""

    gain: float
    offset: float
    loss: float
    centred: np.ndarray
    square: float


def _linear(g: np.ndarray, points: Points) -> _Linear | None:
    mean = _dot(points.share, g)
    centred = g - mean
    weighted = points.share * centred
    square = _dot(weighted, centred)
    if not 1e-12 < square < 1e12:
        return None
    gain = _dot(weighted, points.centred_y) / square
    loss = max(0.0, points.spread - gain * gain * square)
    return _Linear(gain, points.mean_y - gain * mean, loss, centred, square)


def fit(
    tape: Tape, theta: np.ndarray, points: Points, steps: int, held: frozenset[int] = frozenset()
) -> Fit | None:
    """Fit the constants ``theta`` of a shape, those in ``held`` excepted, and its gain and offset.

    Gain and offset are solved for at every step (variable projection; L. Kaufman, A variable projection
    method for solving separable nonlinear least squares problems, BIT 15, 1975), so that
    Levenberg-Marquardt works on the constants inside alone. These have five digits from the first step on.

    Returns:
        None where the shape is not finite, or does not vary.
    """
    free = [j for j in range(len(theta)) if j not in held] if steps else []
    limits = frozenset(tape.limits)
    if free:
        theta = theta.copy()
        theta[free] = [_rounded(float(v)) for v in theta[free]]
    with np.errstate(all="ignore"):
        made = tape.run(theta, points.x)
        now = _linear(made[-1], points)
        damping = _DAMPING
        for _ in range(steps if free and now is not None else 0):
            assert now is not None
            normal, pull, scale = _equations(tape.jacobian(theta, made)[free], now, points)
            if not np.isfinite(normal).all():
                break
            before, nothing, then = now.loss, _NOTHING * now.loss + _ZERO * points.spread, None
            while damping < _MOST_DAMPING:
                step = _solved(normal, pull, damping * scale)
                tried = theta.copy()
                for j, change in zip(free, step or (), strict=bool(step)):
                    moved = _rounded(float(theta[j]) + change)
                    tried[j] = max(moved, _LEAST_LIMIT) if j in limits else moved
                further = tape.run(tried, points.x, made)
                then = _linear(further[-1], points)
                if then is not None and then.loss < before + nothing:
                    break
                then = None
                damping *= _RAISED
            if then is None or before - then.loss < nothing:
                break
            theta, made, now = tried, further, then
            damping = max(damping * _EASED, _LEAST_DAMPING)
            if before - now.loss < _ENOUGH * before:
                break
    if now is None or abs(now.gain) < 1e-6:
        return None
    return Fit(theta, now.gain, now.offset, now.loss)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS - 1}e}") if math.isfinite(value) else value


def _equations(rates: np.ndarray, now: _Linear, points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The normal matrix (k, k), its right side (k,) and the scale of each constant (k,).

    Of the slopes (k, n) counts what gain and offset cannot make up for: the moments of what they can are
    taken away.
    """
    weighted = rates * points.share
    moments = np.einsum("in,jn->ij", weighted, rates)
    mean = np.einsum("kn->k", weighted)
    parallel = np.einsum("kn,n->k", weighted, now.centred)
    normal = moments - mean[:, None] * mean - parallel[:, None] * (parallel / now.square)
    pull = np.einsum("kn,n->k", weighted, points.centred_y - now.gain * now.centred)
    least = np.maximum(_LEAST_SCALE * np.diag(moments), 1e-12 / now.gain**2)
    return normal * now.gain**2, pull * now.gain, np.maximum(np.diag(normal), least) * now.gain**2


def _solved(normal: np.ndarray, pull: np.ndarray, damping: np.ndarray) -> list[float] | None:
    """The solution of ``(normal + diag(damping)) s = pull`` by Cholesky; None where that is not definite.

    LAPACK's digits depend on the machine; for a few constants this is no slower.
    """
    rows: list[list[float]] = []
    matrix, right = normal.tolist(), pull.tolist()
    solved: list[float] = []
    for i, extra in enumerate(damping.tolist()):
        row: list[float] = []
        for j, upper in enumerate(rows):
            row.append((matrix[i][j] - sum(a * b for a, b in zip(row, upper, strict=False))) / upper[j])
        pivot = matrix[i][i] + extra - sum(a * a for a in row)
        if not pivot > 0.0:
            return None
        rows.append([*row, math.sqrt(pivot)])
        solved.append((right[i] - sum(a * b for a, b in zip(row, solved, strict=True))) / rows[i][i])
    for i in reversed(range(len(rows))):
        solved[i] /= rows[i][i]
        for j in range(i):
            solved[j] -= rows[i][j] * solved[i]
    return solved


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
    near, value = 0.0, float(significant(value, _SNAPPED_BITS))
    for digits in range(MOST_DIGITS + 1):
        near = snap(value, digits)
        if (near - value) ** 2 <= most:
            break
    return near
