"""One candidate a layer: the exact trade of total area against total loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: A limit is kept by what exceeds it by this share: sums in floating point are in the order of the layers.
_SLACK = 1e-9


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

    The multiple-choice knapsack, solved exactly: the answer is on the :func:`front`.

    Args:
        areas, losses: of each candidate, a sequence a layer; losses may be negative.

    Returns:
        None where no selection keeps the limit.
    """
    found = front(areas, losses)
    if most_area is not None:
        found = [s for s in found if s.area <= most_area + _SLACK * abs(most_area)]
    if most_loss is None:
        return found[-1] if found else None
    return next((s for s in found if s.loss <= most_loss + _SLACK * abs(most_loss)), None)


def total(
    areas: Sequence[Sequence[float]], losses: Sequence[Sequence[float]], picks: Sequence[int]
) -> Selection:
    """The sums of what is picked."""
    area = sum(layer[i] for layer, i in zip(areas, picks, strict=True))
    loss = sum(layer[i] for layer, i in zip(losses, picks, strict=True))
    return Selection(tuple(picks), float(area), float(loss))


def front(areas: Sequence[Sequence[float]], losses: Sequence[Sequence[float]]) -> list[Selection]:
    """All Pareto-optimal selections, smallest area first.

    Of those that are equal in both the one with the fewest kernels (candidates that take area), then the one
    with the lowest indices, the first layer's first. Losses that are equal but for rounding are equal if they
    are multiples of a step: :func:`rounded`.

    Layer by layer the sums with the next layer's candidates, of which only those are kept that no
    other beats: what is beaten stays so whatever is added to both. So none is missed, in the hollows
    of the front's convex hull neither.
    """
    reached: list[tuple[float, float, int, tuple[int, ...]]] = [(0.0, 0.0, 0, ())]
    for layer_areas, layer_losses in zip(areas, losses, strict=True):
        sums = [
            # Sums of numbers with few digits, to which they are rounded: the order of addition is no matter.
            (round(area + more, 9), round(loss + added, 12), kernels + (more > 0), (*picks, i))
            for area, loss, kernels, picks in reached
            for i, (more, added) in enumerate(zip(layer_areas, layer_losses, strict=True))
        ]
        sums.sort()
        reached, least = [], np.inf
        for entry in sums:
            if entry[1] < least:
                reached.append(entry)
                least = entry[1]
    return [Selection(picks, area, loss) for area, loss, _, picks in reached]


def rounded(values: Sequence[float], step: float) -> list[float]:
    """The nearest multiples of a step that is a power of ten."""
    return [round(round(value / step) * step, 12) for value in values]
