"""The functions that evolved ones compete with: each family fitted to the profile as well as it can be."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, parse
from hwnorm.fixed import FixedFormat
from hwnorm.rounding import nearest, significant
from hwnorm.search.canonical import canonical
from hwnorm.search.constants import Points
from hwnorm.search.fitness import Candidate, Judge, settled
from hwnorm.search.front import non_dominated

#: Family -> its shapes; gain, offset and constants are fitted.
SHAPES: dict[str, tuple[str, ...]] = {
    "affine": ("x",),
    "clip-affine": ("clip(x, 1)", "clip(x, -1, 1)"),
    "dyt": ("tanh(x)",),
    "derf": ("erf(x)",),
    "hardtanh": ("hardtanh(x)",),
    # Of the functions that were published with the method, those of other shapes (arXiv 2605.14047).
    "published": (
        "clip(x, 5) - 0.2*x",
        "1.31*clip(2*x, 5) - 0.84*x + 0.548*tanh(tanh(tanh(x)) + 0.227)",
        "clip(x*tanh(sigmoid(-0.0401*x*tanh(x))), 5)",
        "x*tanh(sigmoid(clip(-0.000308*x*x, 5)))",
    ),
}
DEGREES = (3, 5)
SEGMENTS = (4, 8, 16, 32)
ENTRIES = (4, 8, 16, 32, 64, 128, 256, 512)
#: Tables and lines end at the input format's range, or at it halved so many times.
_HALVINGS = 5
#: A table's values are multiples of so many steps of the output: fewer bits make a smaller table.
_QUANTA = (1, 2, 4)
#: Values at the points of lines, in steps of the output: what a slope begins with needs a finer grid.
_LINE_STEP = 0.25
#: Significant bits of a polynomial's coefficients: LAPACK's digits depend on the machine.
_COEFFICIENT_BITS = 22
#: Pull of neighbouring points to one another where no x was seen, relative to the data's.
_STIFFNESS = 1e-7


def rivals(judge: Judge, allowed: Collection[str] | None = None) -> list[Candidate]:
    """Of each family the functions that no other of the family beats, with prices.

    Args:
        allowed: operators that may be used beside gain and offset; None for all.
    """
    families: dict[str, list[Candidate]] = {}
    for family, function in _functions(judge):
        if is_allowed(function, allowed):
            made = (
                judge.candidates(function, family) if family in SHAPES else [judge.priced(function, family)]
            )
            families.setdefault(family, []).extend(c for c in made if c is not None)
    found = []
    for members in families.values():
        found.extend(non_dominated((c.error, c.cost, c) for c in members))
    return found


def is_allowed(function: Expression, allowed: Collection[str] | None) -> bool:
    """Whether a function is of these operators alone; constant factors and offsets are free."""
    return allowed is None or all(
        not part.args
        or part.kind in allowed
        or (part.kind == "mul" and part.args[0].is_constant)
        or (part.kind == "add" and part.args[1].is_constant)
        for part in function.walk()
    )


def _functions(judge: Judge) -> Iterator[tuple[str, Expression]]:
    """Of SHAPES the fitted shapes, of the other families whole functions."""
    for family, texts in SHAPES.items():
        for text in texts:
            form = canonical(parse(text))
            tuned = None if form is None else judge.tuned(form)
            if tuned is not None:
                yield family, tuned.shape
    for degree in DEGREES:
        yield "polynomial", polynomial(judge.points, degree)
    ends = _ends(judge)
    for segments in SEGMENTS:
        lines = [_lines(judge.points, judge.formats[1], segments, end) for end in ends]
        lines.sort(key=lambda line: -settled(judge.profile.r2(line.numpy(judge.points.x))))
        yield from (("pwl", line) for line in lines[:2])
    yield from (("table", table) for table in _tables(judge, ends))


def tables(judge: Judge) -> list[Candidate]:
    """The direct tables that no other beats in error and price, cheapest first."""
    priced = (judge.priced(table, "table") for table in _tables(judge, _ends(judge)))
    return non_dominated((c.error, c.cost, c) for c in priced if c is not None)


def _ends(judge: Judge) -> list[float]:
    """Where tables and lines may end."""
    first = judge.formats[0].high + judge.formats[0].ulp
    return [first / 2**halvings for halvings in range(_HALVINGS + 1)]


def polynomial(points: Points, degree: int) -> Expression:
    """The polynomial of least squares, in Horner's form."""
    with np.errstate(all="ignore"):
        fitted = np.polynomial.Polynomial.fit(points.x, points.y, degree, w=np.sqrt(points.share))
    *rest, top = significant(fitted.convert().coef, _COEFFICIENT_BITS)
    total = constant(float(top))
    for coefficient in reversed(rest):
        total = apply("add", apply("mul", total, X), constant(float(coefficient)))
    return total


def _lines(points: Points, output: FixedFormat, segments: int, end: float) -> Expression:
    """Equally wide segments from -end to end, least squares; flat outside."""
    knots = np.linspace(-end, end, segments + 1)
    place = np.clip((points.x + end) / (2 * end) * segments, 0, segments)
    left = np.minimum(place.astype(np.int64), segments - 1)
    # Each x lies between two points: the normal matrix has three diagonals.
    right = place - left
    both, share, size = (1 - right, right), points.share, segments + 1
    normal, pull = np.zeros((size, size)), np.zeros(size)
    for i, first in enumerate(both):
        pull += np.bincount(left + i, share * first * points.y, size)
        for j, second in enumerate(both):
            at = np.arange(segments)
            normal[at + i, at + j] += np.bincount(left, share * first * second, segments)
    bend = np.diff(np.eye(segments + 1), 2, axis=0)
    normal += _STIFFNESS * bend.T @ bend + 1e-12 * np.eye(segments + 1)
    # LAPACK's digits depend on the machine, and what decides here is on which side of a half they are.
    values = nearest(np.linalg.solve(normal, pull), output.ulp * _LINE_STEP * 2.0**-12)
    step = _LINE_STEP * output.ulp
    values = np.clip(np.round(values / step) * step, output.low, output.high)
    return apply("pwl", X, *(constant(float(v)) for pair in zip(knots, values, strict=True) for v in pair))


def _tables(judge: Judge, ends: list[float]) -> Iterator[Expression]:
    """The direct tables that no other beats by what they roughly take: entries, bits and a saturation."""
    points, output = judge.points, judge.formats[1]
    found = []
    for entries in ENTRIES:
        for halvings, end in enumerate(ends):
            for quantum in _QUANTA:
                values = _cells(points, output, entries, end, quantum)
                bits = max(1, int(np.ptp(values) / (quantum * output.ulp))).bit_length()
                rough = bits * max(1.0, entries / 64) + (entries.bit_length() if halvings else 0)
                try:
                    table = apply("rom", X, constant(-end), constant(end), *map(constant, values.tolist()))
                except InputError:
                    continue  # cells too many or too small
                error = settled(1.0 - judge.profile.r2(table.numpy(points.x)))
                found.append((error, rough, table))
    return iter(non_dominated(found))


def _cells(points: Points, output: FixedFormat, entries: int, end: float, quantum: int) -> np.ndarray:
    """The mean of y in each cell, (entries,), in multiples of the quantum; between those where x is rare."""
    cell = np.clip(np.floor((points.x + end) / (2 * end) * entries), 0, entries - 1).astype(np.int64)
    share = np.bincount(cell, points.share, entries)
    mean = np.bincount(cell, points.share * points.y, entries)
    seen = np.flatnonzero(share)
    values = np.interp(np.arange(entries), seen, mean[seen] / share[seen])
    step = quantum * output.ulp
    codes = np.clip(np.round(values / step), np.ceil(output.low / step), np.floor(output.high / step))
    return np.asarray(codes * step)
