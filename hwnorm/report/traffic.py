"""The picture of bytes a token: what a LayerNorm holds and moves, and the function in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from hwnorm.compare.traffic import NOTHING, Traffic, kernel_traffic, layernorm_traffic
from hwnorm.report.artefacts import Layer
from hwnorm.report.style import BLACK, BLUE, ORANGE, new_figure

#: Face, hatch.
_LAYERNORM, _UNBUFFERED, _FUNCTION = (ORANGE, "///"), ("#ffffff", "///"), (BLUE, "")


@dataclass(frozen=True)
class Site:
    """One pair of bars: a norm before, and after."""

    label: str
    layernorm: Traffic
    function: Traffic


def site_of(layer: Layer, lanes: int) -> Site | None:
    """The bars of a norm layer; None where it is not known how wide its tokens or its codes are."""
    chosen, profile = layer.chosen, layer.profile
    if chosen is None or profile is None:
        return None
    if chosen.datapath is not None:
        formats = chosen.datapath.input, chosen.datapath.output
        function = kernel_traffic(profile.channels, formats, chosen.datapath.latency, lanes)
    elif layer.front is not None:
        formats = layer.front.input, layer.front.output
        function = NOTHING
    else:
        return None
    return Site(layer.name, layernorm_traffic(profile.channels, formats), function)


def traffic_figure(sites: Sequence[Site], title: str) -> Figure:
    """Draw what must be held before a token's first result leaves, and what a token moves."""
    figure, (left, right) = new_figure(1.8 + 0.34 * len(sites), panels=2)
    left.set_xlabel("held before the first result, bytes")
    right.set_xlabel("moved a token, bytes")
    for place, site in enumerate(sites):
        before, after = site.layernorm, site.function
        _bar(left, place - 0.2, before.held, *_LAYERNORM)
        _bar(left, place + 0.2, after.held, *_FUNCTION)
        _bar(right, place - 0.2, before.unbuffered, *_UNBUFFERED)
        _bar(right, place - 0.2, before.moved, *_LAYERNORM)
        _bar(right, place + 0.2, after.moved, *_FUNCTION)
        _number(left, place - 0.2, before.held)
        _number(left, place + 0.2, after.held, None if after.held else "0: folds")
        _number(right, place - 0.2, before.unbuffered, f"{before.moved:,} or {before.unbuffered:,}")
        _number(right, place + 0.2, after.moved, None if after.moved else "0: folds")
    for axes in (left, right):
        axes.set_ylim(len(sites) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    left.set_yticks(range(len(sites)), [site.label for site in sites], fontsize=8)
    right.set_yticks(range(len(sites)), [""] * len(sites))
    left.set_xlim(0, 1.2 * max(site.layernorm.held for site in sites))
    right.set_xlim(0, 1.4 * max(site.layernorm.unbuffered for site in sites))
    handles = [
        _bar(left, 0, 0, *_LAYERNORM, label="LayerNorm"),
        _bar(left, 0, 0, *_UNBUFFERED, label="LayerNorm that cannot hold a token: reads it twice"),
        _bar(left, 0, 0, *_FUNCTION, label="function in its place"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _bar(
    axes: Axes, place: float, length: float, face: str, hatch: str, label: str | None = None
) -> BarContainer:
    return axes.barh(
        place,
        length,
        height=0.36,
        facecolor=face,
        hatch=hatch,
        edgecolor=BLACK,
        linewidth=0.6,
        label=label,
    )


def _number(axes: Axes, place: float, value: float, text: str | None = None) -> None:
    said = f"{value:,.4g}" if text is None else text
    axes.annotate(said, (value, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
