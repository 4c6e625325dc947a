"""One candidate a layer: the exact trade of total area against total loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import block_diag

#: Share of the objective's range by which the other sum decides between equal ones.
_TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Selection:
    """A candidate a layer, by its index, with the sums of their areas and losses."""

    picks: tuple[int, ...]
    area: float
    loss: float


def select(
    areas: Sequence[Sequence[float]],
    losses: Sequence[Sequence[float]],
    *,
    most_area: float | None = None,
    most_loss: float | None = None,
) -> Selection | None:
    """The least loss under a limit of area, or the least area under a limit of loss, as is given.

    The multiple-choice knapsack, solved to optimality as a mixed-integer program (HiGHS).

    Args:
        areas, losses: of each candidate, a sequence a layer; losses may be negative.

    Returns:
        None where no selection keeps the limit.
    """
    by_loss = most_loss is None
    objective, other = (losses, areas) if by_loss else (areas, losses)
    limit = most_area if by_loss else most_loss
    # From each layer's least on all numbers are positive, of one size, and the limit is what is spare.
    values, _ = _from_least(objective)
    weights, least_weight = _from_least(other)
    sums = [_range(values), _range(weights)]
    one_a_layer = block_diag([np.ones((1, len(layer))) for layer in areas])
    constraints = [LinearConstraint(one_a_layer, 1, 1)]
    if limit is not None:
        spare = limit - least_weight
        if spare < -1e-9 * (1 + abs(limit)):
            return None
        flat = np.concatenate(weights) / sums[1]
        constraints.append(LinearConstraint(flat[None], -np.inf, max(0.0, spare) / sums[1] + 1e-12))
    costs = np.concatenate(values) / sums[0] + _TIE * np.concatenate(weights) / sums[1]
    result = milp(
        1e3 * costs,
        integrality=np.ones_like(costs),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0.0},
    )
    if result.x is None:
        return None
    picks, start = [], 0
    for layer in areas:
        picks.append(int(result.x[start : start + len(layer)].argmax()))
        start += len(layer)
    return total(areas, losses, picks)


def total(
    areas: Sequence[Sequence[float]], losses: Sequence[Sequence[float]], picks: Sequence[int]
) -> Selection:
    """The sums of what is picked."""
    area = sum(layer[i] for layer, i in zip(areas, picks, strict=True))
    loss = sum(layer[i] for layer, i in zip(losses, picks, strict=True))
    return Selection(tuple(picks), float(area), float(loss))


def front(areas: Sequence[Sequence[float]], losses: Sequence[Sequence[float]]) -> list[Selection]:
    """All Pareto-optimal selections, smallest area first; of equal ones the first.

    Layer by layer the sums with the next layer's candidates, of which only those are kept that no
    other beats: what is beaten stays so whatever is added to both. So none is missed, in the hollows
    of the front's convex hull neither.
    """
    reached: list[Selection] = [Selection((), 0.0, 0.0)]
    for layer_areas, layer_losses in zip(areas, losses, strict=True):
        sums = [
            Selection((*old.picks, i), old.area + area, old.loss + loss)
            for old in reached
            for i, (area, loss) in enumerate(zip(layer_areas, layer_losses, strict=True))
        ]
        sums.sort(key=lambda s: (s.area, s.loss))
        reached, least = [], np.inf
        for selection in sums:
            if selection.loss < least:
                reached.append(selection)
                least = selection.loss
    return reached


def _from_least(layers: Sequence[Sequence[float]]) -> tuple[list[np.ndarray], float]:
    """Each layer's numbers less its least one, and the sum of the least ones."""
    arrays = [np.asarray(layer, float) for layer in layers]
    return [layer - layer.min() for layer in arrays], float(sum(layer.min() for layer in arrays))


def _range(layers: Sequence[np.ndarray]) -> float:
    return float(sum(layer.max() for layer in layers)) or 1.0
