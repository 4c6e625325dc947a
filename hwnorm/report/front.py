"""The picture of one layer's Pareto front: hardware cost against what is lost of the reachable R2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from hwnorm.report.style import BLACK, FAMILIES, GREY, OTHER, in_order, new_figure, set_margins, set_title
from hwnorm.search.front import Point


@dataclass(frozen=True)
class FrontPoint:
    """One function of a front: its family, its cost in LUT-equivalents and its R2."""

    family: str
    cost: float
    r2: float


#: A loss below this is drawn here: the axis is logarithmic, and no R2 is known more exactly.
_LEAST_LOSS = 1e-6


def loss(r2: float, ceiling_r2: float) -> float:
    """1 - R2/ceiling: the share that is lost of what a function of x can explain."""
    return max(_LEAST_LOSS, 1.0 - r2 / max(ceiling_r2, _LEAST_LOSS))


def front_figure(
    layer: str,
    points: Sequence[FrontPoint | Point],
    ceiling_r2: float,
    chosen: FrontPoint | None,
    expression: str,
) -> Figure:
    """Draw all points by their families, the steps of the best R2 for each cost, and the chosen point.

    Points above the steps are on the front for their tails or their error bound, which this picture
    does not show.
    """
    figure, (axes,) = new_figure(4.2)
    ordered = sorted(points, key=lambda point: point.cost)
    costs = np.array([point.cost for point in ordered])
    losses = np.array([loss(point.r2, ceiling_r2) for point in ordered])
    axes.step(costs, np.minimum.accumulate(losses), where="post", color=GREY, linewidth=1.4, zorder=2)
    families = [point.family for point in ordered]
    for family in in_order(set(families)):
        look = FAMILIES.get(family, OTHER)
        own = np.array(families) == family
        axes.plot(
            costs[own],
            losses[own],
            look.marker,
            color=look.colour,
            markeredgecolor=BLACK,
            markeredgewidth=0.6,
            markersize=7,
            zorder=3,
            label=family,
        )
    axes.set_yscale("log")
    # More numbers than those of whole decades have room on a short axis.
    _number(axes.yaxis, (1, 2, 5) if losses.max() < 100 * losses.min() else (1,))
    if costs.min() > 0:
        axes.set_xscale("log")
        _number(axes.xaxis, (1, 2, 5))
    axes.margins(0.08, 0.15)
    if chosen is not None:
        look = FAMILIES.get(chosen.family, OTHER)
        r2 = f"R\N{SUPERSCRIPT TWO} {chosen.r2:.4f} of {ceiling_r2:.4f}"
        at = (chosen.cost, loss(chosen.r2, ceiling_r2))
        axes.plot(*at, look.marker, color=look.colour, markeredgecolor=BLACK, markersize=7, zorder=4)
        axes.plot(
            *at,
            "o",
            color="none",
            markeredgecolor=BLACK,
            markeredgewidth=1.8,
            markersize=15,
            zorder=4,
            label=f"chosen: {chosen.family}, {chosen.cost:g}, {r2}",
        )
    axes.set_xlabel("cost by the model, LUT-equivalents of LUT, FF, DSP and latency")
    axes.set_ylabel("1 - R\N{SUPERSCRIPT TWO} / ceiling")
    set_title(figure, layer, expression, f"{len(points)} functions on the front")
    set_margins(figure, legend_columns=5)
    return figure


def _number(axis: Axis, digits: tuple[int, ...]) -> None:
    """Plain numbers at a logarithmic axis, those that begin so; powers, set as mathematics, take long."""
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
