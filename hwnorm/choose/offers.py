"""What a layer may be built as: functions of its front, steeper ones, one that its consumers want, a fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from hwnorm.cost.cost import Resources, resources
from hwnorm.datapath.ir import Datapath
from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, apply, constant, parse
from hwnorm.lowering.lower import lower
from hwnorm.network.fold import line_of
from hwnorm.profile import LayerProfile
from hwnorm.search.constants import with_gain
from hwnorm.search.fitness import NO_LIMITS, SNAP_LOSS, Judge
from hwnorm.search.front import Point
from hwnorm.search.layer import Front
from hwnorm.search.price import Limits
from hwnorm.search.rivals import tables
from hwnorm.targets.target import Target

#: How many times steeper than the search has fitted them functions are offered. One that saturates
#: earlier loses R2, but keeps less of a token's scale, which is what the norm took away.
SHARPER = (1.0, 1.5, 2.0, 3.0, 4.0)
#: Functions of one layer whose correlation on the profile exceeds this are the same to the network, since
#: gain and offset are refitted behind them: the cheapest stands for all.
ALIKE = 0.999
#: Functions that explain less than this share of what any could are not offered.
LEAST_SHARE = 0.5
#: At most so many a layer, besides the one that folds and that for its consumers.
MOST = 6
#: A table for the consumers explains so much of the function that they want.
FAITHFUL = 0.998

NOTHING = Resources(**{field.name: 0 for field in fields(Resources)})


@dataclass(frozen=True, slots=True)
class Shape:
    """A function before it is lowered; ``area`` is that of the front's point that it was made from.

    Where there is no point, it is the search's estimate.
    """

    expression: Expression
    area: float
    family: str


@dataclass(frozen=True)
class Offer:
    """A function that a layer can have and its hardware; where it folds there is none."""

    expression: str
    family: str
    r2: float
    r2_bit_true: float
    resources: Resources
    datapath: Datapath | None


def area_of(used: Resources | Point, target: Target) -> float:
    """In the target's unit, with DSP blocks as the area that they are worth; of a point its cost in gates."""
    if target.unit != "LUT":
        return used.cost if isinstance(used, Point) else used.area
    weights = target.weights
    # Where LUTs are free, no number of them is worth a DSP block.
    return used.lut + (used.dsp * weights.dsp / weights.area if weights.area else 0.0)


def shapes(
    front: Front,
    profile: LayerProfile,
    wanted: LayerProfile | None,
    target: Target,
    clock_mhz: float,
    limits: Limits = NO_LIMITS,
) -> list[Shape]:
    """The functions to try for a layer, smallest area first; the first is affine: it folds.

    Of those that are alike the cheapest is kept, and of too many those that differ most. If there is
    a function that the consumers want (:mod:`hwnorm.choose.consumers`), ``wanted`` holds it as y: a table
    for it is always among them.
    """
    judge = Judge(profile, (front.input, front.output), target, clock_mhz, limits)
    found = []
    for point in front.points:
        picked = without_affine(parse(point.expression))
        for factor in SHARPER:
            steeper = picked.at(apply("mul", constant(factor), X))
            function = with_gain(steeper, judge.points, SNAP_LOSS * profile.variance)
            if function is None or line_of(function) is not None:
                continue
            with np.errstate(all="ignore"):
                r2 = profile.r2(function.numpy(profile.x))
            if r2 >= LEAST_SHARE * front.ceiling_r2:  # not where it has no value
                found.append(Shape(function, area_of(point, target), point.family))
    straight = Shape(_line(profile), 0.0, "affine")
    found.sort(key=lambda shape: shape.area)
    always = [straight]
    if wanted is not None:
        priced = tables(Judge(wanted, (front.input, front.output), target, clock_mhz, limits))
        if priced:
            best = next((table for table in priced if table.r2 > FAITHFUL), priced[-1])
            always.append(Shape(best.expression, best.cost, "table"))
    return _differing(always, found, profile, lambda shape: judge.priced(shape.expression, "") is not None)


def _differing(
    always: Sequence[Shape],
    others: Sequence[Shape],
    profile: LayerProfile,
    buildable: Callable[[Shape], bool],
) -> list[Shape]:
    """Those, and of the others always the one that is least like what is taken, until the rest is alike.

    ``buildable`` takes time: it is asked of what would be taken alone.
    """
    found = [*always, *others]
    weight = np.sqrt(profile.weight / profile.weight.sum())
    rows = []
    for shape in found:
        values = shape.expression.numpy(profile.x)
        centred = (values - np.average(values, weights=profile.weight)) * weight
        rows.append(centred / np.linalg.norm(centred))
    alike = np.abs(np.array(rows) @ np.array(rows).T)
    taken = list(range(len(always)))
    unique = list(taken)
    for i in range(len(always), len(found)):
        if alike[i, unique].max() < ALIKE:
            unique.append(i)
    left = unique[len(always) :]
    while left and len(taken) < len(always) + MOST:
        # Ties go to the smaller area.
        best = min(left, key=lambda i: (round(alike[i, taken].max(), 4), found[i].area, i))
        left.remove(best)
        if buildable(found[best]):
            taken.append(best)
    first, *rest = (found[i] for i in taken)
    return [first, *sorted(rest, key=lambda shape: shape.area)]


def _line(profile: LayerProfile) -> Expression:
    """The affine function of least squares, its constants rounded to what every machine agrees on."""
    fitted = np.polyfit(profile.x, profile.y, 1, w=np.sqrt(profile.weight))
    gain, offset = (constant(float(f"{value:.7g}")) for value in fitted)
    return apply("add", apply("mul", gain, X), offset)


def without_affine(expression: Expression) -> Expression:
    """The expression without its outer gain, offset and sign, which are fitted anew."""
    match expression:
        case Expression(kind="add", args=(inner, Expression(kind="constant"))):
            return without_affine(inner)
        case Expression(kind="mul", args=(Expression(kind="constant"), inner)):
            return without_affine(inner)
        case Expression(kind="neg", args=(inner,)):
            return without_affine(inner)
    return expression


def build(
    text: str,
    family: str,
    front: Front,
    profile: LayerProfile,
    target: Target,
    clock_mhz: float,
    limits: Limits = NO_LIMITS,
) -> Offer | None:
    """Lower a function and measure its integers; None where it cannot be had so precise and so small."""
    expression = parse(text)
    r2 = profile.r2(expression.numpy(profile.x))
    if line_of(expression) is not None:
        return Offer(text, family, r2, r2, NOTHING, None)
    try:
        datapath = lower(expression, front.input, front.output, target, clock_mhz)
    except InputError:
        return None
    used = resources(datapath.nodes, datapath.latency, target)
    if not limits.admit(used, datapath.latency):
        return None
    values = datapath.output.to_float(datapath.evaluate(datapath.input.quantize(profile.x)))
    return Offer(text, family, r2, profile.r2(values), used, datapath)
