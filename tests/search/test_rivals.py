"""Rivals: every family is there, each as good as least squares makes it, and constraints hold for them."""

from __future__ import annotations

import numpy as np
import pytest

from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.search.constants import Points
from hwnorm.search.fitness import Judge
from hwnorm.search.grammar import operators_of
from hwnorm.search.rivals import SHAPES, polynomial, rivals
from hwnorm.targets.target import load_target

FORMATS = FixedFormat(12, 8), FixedFormat(8, 5)


@pytest.fixture(scope="module")
def judge(profile_of):
    profile = profile_of("2.58*tanh(0.8*x) + 0.24", noise=0.3, points=50_000)
    return Judge(profile, FORMATS, load_target("xcup"), 250.0)


@pytest.fixture(scope="module")
def found(judge):
    return rivals(judge)


def test_every_family_competes(found):
    assert {c.family for c in found} == {*SHAPES, "polynomial", "pwl", "table"}


def test_families_are_as_good_as_they_can_be(found, judge):
    """Tables, lines and the true shape come near the ceiling; a straight line is the regression or better."""
    ceiling = judge.profile.ceiling_r2
    best = {c.family: max(d.r2 for d in found if d.family == c.family) for c in found}
    assert all(best[family] > ceiling - 0.002 for family in ("table", "pwl", "dyt"))
    points, output = judge.points, FORMATS[1]
    line = np.polyval(np.polyfit(points.x, points.y, 1, w=np.sqrt(points.share)), points.x)
    error = 1 - judge.profile.r2(output.to_float(output.quantize(line)))
    assert min(c.error - c.tail for c in found if c.family == "affine") < error + 1e-4


def test_polynomials_are_those_of_least_squares(profile_of):
    profile = profile_of("0.5*x - 0.02*x*x*x + 0.1", noise=0.1)
    points = Points(profile)
    fitted = polynomial(points, 3).numpy(points.x)
    expected = np.polyval(np.polyfit(points.x, points.y, 3, w=np.sqrt(points.share)), points.x)
    np.testing.assert_allclose(fitted, expected, atol=1e-6)


def test_members_of_a_family_do_not_beat_one_another(found):
    for a in found:
        rest = [b for b in found if b.family == a.family and b is not a]
        assert not any(b.error <= a.error and b.cost <= a.cost for b in rest)


def test_only_allowed_operators_are_used(judge):
    """With clip alone there are straight lines and limits; constant factors and offsets are free."""
    families = {c.family for c in rivals(judge, operators_of("clip"))}
    assert families == {"affine", "clip-affine", "published"} or families == {"affine", "clip-affine"}
    for candidate in rivals(judge, operators_of("clip")):
        kinds = {part.kind for part in candidate.expression.walk()}
        assert kinds <= {"x", "constant", "mul", "add", "clip"}


def test_tables_hold_the_mean_of_each_cell(judge, found):
    """In the middle, where every cell has data: each value is E[y] in its cell, to a quantum."""
    table = max((c for c in found if c.family == "table"), key=lambda c: c.r2).expression
    low, high, *values = (arg.value for arg in table.args[1:])
    cell = (high - low) / len(values)
    points = judge.points
    for i, value in enumerate(values):
        inside = (points.x >= low + i * cell) & (points.x < low + (i + 1) * cell)
        if points.share[inside].sum() > 1e-3:
            mean = np.average(points.y[inside], weights=points.share[inside])
            assert abs(value - mean) <= 2 * FORMATS[1].ulp + 1e-9


def test_published_forms_parse():
    assert all(parse(text) for texts in SHAPES.values() for text in texts)
