"""The picture of one layer's fit: what the norm does, and the function that stands in for it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwnorm.datapath.ir import Datapath
from hwnorm.expression import Expression
from hwnorm.profile import LayerProfile
from hwnorm.report.style import (
    BLACK,
    BLUE,
    GREY,
    SKY,
    VERMILLION,
    draw_stairs,
    new_figure,
    set_margins,
    set_title,
)

#: A bin's mean and deviation are shown from so many points on.
_MIN_POINTS = 20
#: Share of the points that lies beyond either side of the left panel.
_CORE_TAIL = 0.001
#: Columns of the density, and the share of the picture's height that its peak takes.
_COLUMNS, _DENSITY_HEIGHT = 160, 0.18
#: Points of a drawn line.
_SAMPLES = 1200


def fit_figure(
    layer: str,
    profile: LayerProfile,
    expression: Expression,
    datapath: Datapath | None,
    r2: float,
    ceiling_r2: float,
) -> Figure:
    """Draw y against x: data, conditional mean (the best that any function of x does), function, bit-true.

    The left panel shows where nearly all points are; the right one twice the range that the profile
    saw (shaded), with the function dashed where it extrapolates.
    """
    margin = (profile.x_max - profile.x_min) / 2
    views = (core(profile), (profile.x_min - margin, profile.x_max + margin))
    headings = (f"{100 - 200 * _CORE_TAIL:.1f} % of the points", "twice the calibrated range")
    figure, panels = new_figure(4.4, panels=2)
    for axes, (low, high), heading in zip(panels, views, headings, strict=True):
        axes.axvspan(profile.x_min, profile.x_max, color="#f3f3f3", zorder=0, label="calibrated range")
        _draw_density(axes, profile, max(low, profile.x_min), min(high, profile.x_max))
        drawn = _draw_data(axes, profile, low, high)
        drawn += _draw_function(axes, expression, profile, low, high)
        if datapath is not None:
            _draw_bit_true(axes, datapath, low, high)
        axes.set_xlim(low, high)
        # Far outside the data a function may go anywhere: that must not flatten what is inside.
        room = 0.3 * (max(drawn) - min(drawn)) or 1.0
        axes.set_ylim(min(drawn) - room, max(drawn) + room / 3)
        axes.set_xlabel("x, input of the norm")
        axes.set_title(heading, fontsize=9, y=1.0)
    panels[0].set_ylabel("y, normalized output")
    set_title(figure, layer, str(expression), f"R\N{SUPERSCRIPT TWO} {r2:.3f} of {ceiling_r2:.3f}")
    set_margins(figure, legend_columns=4)
    return figure


def core(profile: LayerProfile) -> tuple[float, float]:
    """Where nearly all points are: all but :data:`_CORE_TAIL` of them on either side."""
    share = np.cumsum(profile.weight) / profile.weight.sum()
    low, high = profile.x[np.searchsorted(share, [_CORE_TAIL, 1 - _CORE_TAIL])]
    return float(low), float(high)


def density(profile: LayerProfile, grid: np.ndarray) -> np.ndarray:
    """Share of all points between successive ``grid`` values (n,), as if even within bins: (n - 1,)."""
    share = np.cumsum(profile.count)[:-1] / profile.count.sum()
    edges = np.clip(profile.edges.astype(np.float64), profile.x_min, profile.x_max)
    knots = np.concatenate([[profile.x_min], edges, [profile.x_max]])
    return np.diff(np.interp(grid, knots, np.concatenate([[0.0], share, [1.0]])))


def _draw_density(axes: Axes, profile: LayerProfile, low: float, high: float) -> None:
    grid = np.linspace(low, high, _COLUMNS + 1)
    draw_shares(axes, density(profile, grid), grid, _DENSITY_HEIGHT, "density of x (no scale)")


def draw_shares(axes: Axes, shares: np.ndarray, edges: np.ndarray, height: float, label: str) -> None:
    """Draw columns as high as the shares (n,) between the edges (n + 1,) at the foot of a picture.

    ``height`` is the share of the picture's that the greatest takes.
    """
    draw_stairs(
        axes,
        height * shares / (shares.max() or 1.0),
        edges,
        facecolor="#c4c4c4",
        linewidth=0,
        transform=axes.get_xaxis_transform(),
        zorder=1,
        label=label,
    )


def _draw_data(axes: Axes, profile: LayerProfile, low: float, high: float) -> list[float]:
    """Draw E[y|x] and its band; return the band's lowest and highest value within [low, high]."""
    filled = profile.count > 0
    square = profile.sum_yy[filled] / profile.count[filled]
    sigma = np.sqrt(np.maximum(0.0, square - profile.y**2))
    shown = (
        (profile.weight >= min(_MIN_POINTS, profile.weight.max())) & (profile.x >= low) & (profile.x <= high)
    )
    x, y, sigma = profile.x[shown], profile.y[shown], sigma[shown]
    label = "E[y|x] \N{PLUS-MINUS SIGN} sigma"
    axes.fill_between(x, y - sigma, y + sigma, color=SKY, alpha=0.4, linewidth=0, zorder=2, label=label)
    axes.plot(x, y, color=BLUE, linewidth=1.2, zorder=3, label="E[y|x], the ceiling")
    return [*(y - sigma), *(y + sigma)]


def _draw_function(
    axes: Axes, expression: Expression, profile: LayerProfile, low: float, high: float
) -> list[float]:
    """Draw f over [low, high], dashed beyond the calibrated range; return its values within."""
    inside = np.linspace(max(low, profile.x_min), min(high, profile.x_max), _SAMPLES)
    values = expression.numpy(inside)
    axes.plot(inside, values, color=VERMILLION, linewidth=2.2, zorder=4, label="f(x)")
    label: str | None = "f(x), extrapolated"
    for start, end in ((low, profile.x_min), (profile.x_max, high)):
        if start < end:
            x = np.linspace(start, end, _SAMPLES // 2)
            axes.plot(x, expression.numpy(x), "--", color=VERMILLION, linewidth=1.6, zorder=4, label=label)
            label = None
    return list(values)


def _draw_bit_true(axes: Axes, datapath: Datapath, low: float, high: float) -> None:
    """Draw the hardware's output over the input codes within [low, high]."""
    first, last = datapath.input.quantize(np.array([low, high]))
    codes = np.unique(np.linspace(first, last, 4 * _SAMPLES).round().astype(np.int64))
    values = datapath.output.to_float(datapath.evaluate(codes))
    axes.plot(
        datapath.input.to_float(codes),
        values,
        drawstyle="steps-mid",
        color=BLACK,
        linewidth=0.8,
        zorder=5,
        label=f"bit-true, {datapath.input} to {datapath.output}",
    )
    label: str | None = f"limits of {datapath.input}"
    for bound in (datapath.input.low, datapath.input.high):
        if low < bound < high:
            axes.axvline(bound, color=GREY, linewidth=0.9, linestyle=":", zorder=2, label=label)
            label = None
