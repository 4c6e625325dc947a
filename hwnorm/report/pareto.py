"""A study's trials as points: accuracy against area, drawn for paper and for the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from hwnorm.errors import InputError
from hwnorm.network.evaluate import Accuracy
from hwnorm.report.study import Study, Trial
from hwnorm.report.style import BLACK, FAMILIES, GREY, OTHER, in_order, new_figure

#: The share of the accuracies' span that is left free above and below, and of the areas' to the right.
_ROOM = 0.08


def interval(trial: Trial) -> tuple[float, float] | None:
    """The 95 % interval of a trial's top-1 in per cent; None of another accuracy."""
    images = trial.row.test_images
    if trial.row.accuracy_name != "top-1" or not images:
        return None
    return Accuracy(round(trial.accuracy * images / 100), images).interval


def accuracy_text(value: float | None, name: str | None) -> str:
    """An accuracy as people read it."""
    if value is None:
        return "not measured"
    return f"{value:.2f} %" if name == "top-1" else f"{value:.4f}"


def accuracy_label(study: Study) -> str:
    """What stands at the axis."""
    if study.accuracy_name == "top-1":
        return "top-1 of the bit-true network, %"
    return "cosine to the original's features, bit-true"


def area_label(study: Study) -> str:
    """What stands at the other axis."""
    return f"area of all kernels, {study.unit}, one lane each, as predicted"


def references(trials: Sequence[Trial]) -> list[float]:
    """The accuracies that the original network had: one, if the images were always the same."""
    return sorted({t.row.accuracy_layernorm for t in trials if t.row.accuracy_layernorm is not None})


def stairs(front: Sequence[Trial], end: float) -> tuple[list[float], list[float]]:
    """The best accuracy that can be had for each area, up to ``end``: corners of a line, areas first."""
    areas = [*(t.area for t in front), end]
    return areas, [*(t.accuracy for t in front), front[-1].accuracy]


def _limits(study: Study) -> tuple[float, float, float]:
    """The largest area that is drawn, the least and the greatest accuracy."""
    bounds = [bound for trial in study.front for bound in interval(trial) or ()]
    accuracies = [*(t.accuracy for t in study.shown), *references(study.shown), *bounds]
    room = _ROOM * (max(accuracies) - min(accuracies)) or 1.0
    largest = max(t.area for t in study.shown) or 1.0
    return (1 + _ROOM) * largest, min(accuracies) - room, max(accuracies) + room


def pareto_figure(study: Study) -> Figure:
    """Draw every trial that was measured, the front stepped, and the original network as a line."""
    figure, (axes,) = new_figure(5.0)
    right, low, high = _limits(study)
    for place, level in enumerate(references(study.shown)):
        label = "the original, with LayerNorm" if place == 0 else None
        axes.axhline(level, color=BLACK, linestyle="--", linewidth=1.1, zorder=1, label=label)
    if study.front:
        x, y = stairs(study.front, right)
        axes.step(x, y, where="post", color=GREY, linewidth=1.6, zorder=2, label="front")
    for family in in_order({t.family for t in study.shown}):
        own = [t for t in study.shown if t.family == family]
        for trials, size, alpha in (
            ([t for t in own if t not in study.front], 6, 0.55),
            ([t for t in own if t in study.front], 9, 1.0),
        ):
            axes.plot(
                [t.area for t in trials],
                [t.accuracy for t in trials],
                FAMILIES.get(family, OTHER).marker,
                color=FAMILIES.get(family, OTHER).colour,
                markeredgecolor=BLACK,
                markeredgewidth=0.7,
                markersize=size,
                alpha=alpha,
                zorder=3 + alpha,
            )
        # An empty line for the legend, where both sizes are one family.
        look = FAMILIES.get(family, OTHER)
        axes.plot([], [], look.marker, color=look.colour, markeredgecolor=BLACK, markersize=8, label=family)
    for trial in study.front:
        bounds = interval(trial)
        if bounds is not None:
            axes.plot([trial.area] * 2, bounds, "_-", color=BLACK, linewidth=0.8, markersize=7, zorder=2.5)
        axes.annotate(
            str(trial.number),
            (trial.area, trial.accuracy),
            (-5, 5),  # above and to the left of a point of the front there is none
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )
    if unproven := [t for t in study.shown if not t.row.verified]:
        label = "not verified: not on the front"
        axes.plot(
            [t.area for t in unproven],
            [t.accuracy for t in unproven],
            "x",
            color=BLACK,
            markersize=12,
            zorder=5,
            label=label,
        )
    axes.set_xlim(-0.03 * right, right)
    axes.set_ylim(low, high)
    axes.set_xlabel(area_label(study))
    axes.set_ylabel(accuracy_label(study))
    figure.legend(loc="outside lower center", ncols=5, fontsize=8)
    title = f"{study.name}: {len(study.shown)} trials, {len(study.front)} on the front"
    title += (
        ", with their numbers and 95 % intervals"
        if study.accuracy_name == "top-1"
        else ", with their numbers"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    return figure


def pareto_plot(study: Study) -> dict[str, Any]:
    """The same for Plotly, as plain JSON: ``data`` and ``layout``.

    A point's ``customdata`` is its trial's number. The last trace, ``selected``, is empty: the page puts the
    trial that is looked at into it.

    Raises:
        InputError: Plotly is not installed.
    """
    try:
        from plotly import graph_objects as go
    except ImportError:
        raise InputError(
            "the report of a study needs Plotly, which is not installed; pip install 'hwnorm[sweep]' adds it"
        ) from None
    right, low, high = _limits(study)
    figure = go.Figure(layout=_layout(study, right, low, high))
    if study.front:
        x, y = stairs(study.front, right)
        line = {"shape": "hv", "color": GREY, "width": 2}
        figure.add_scatter(x=x, y=y, mode="lines", line=line, name="front", hoverinfo="skip")
    for family in in_order({t.family for t in study.shown}):
        own = [t for t in study.shown if t.family == family]
        look = FAMILIES.get(family, OTHER)
        on_front = [t in study.front for t in own]
        figure.add_scatter(
            x=[t.area for t in own],
            y=[t.accuracy for t in own],
            mode="markers",
            name=family,
            customdata=[t.number for t in own],
            text=[_hover(t) for t in own],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "symbol": look.symbol,
                "color": look.colour,
                "size": [15 if front else 10 for front in on_front],
                "opacity": [1.0 if front else 0.55 for front in on_front],
                "line": {"color": BLACK, "width": 1},
            },
        )
    if unproven := [t for t in study.shown if not t.row.verified]:
        cross = {"symbol": "x-thin-open", "size": 18, "color": BLACK, "line": {"width": 2}}
        figure.add_scatter(
            x=[t.area for t in unproven],
            y=[t.accuracy for t in unproven],
            mode="markers",
            name="not verified",
            marker=cross,
            hoverinfo="skip",
        )
    ring = {"symbol": "circle-open", "size": 26, "color": BLACK, "line": {"width": 3}}
    figure.add_scatter(
        x=[], y=[], mode="markers", name="selected", marker=ring, hoverinfo="skip", showlegend=False
    )
    found: dict[str, Any] = json.loads(figure.to_json())
    return found


def _layout(study: Study, right: float, low: float, high: float) -> dict[str, Any]:
    axis = {"gridcolor": "#dddddd", "linecolor": BLACK, "zeroline": False, "ticks": "outside"}
    lines = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": level,
            "y1": level,
            "layer": "below",
            "line": {"color": BLACK, "width": 1.5, "dash": "dash"},
        }
        for level in references(study.shown)
    ]
    said = [
        {
            "xref": "paper",
            "x": 1,
            "y": level,
            "text": f"LayerNorm, {accuracy_text(level, study.accuracy_name)}",
            "showarrow": False,
            "xanchor": "right",
            "yanchor": "bottom",
        }
        for level in references(study.shown)
    ]
    return {
        "template": "none",
        "xaxis": axis | {"title": {"text": area_label(study)}, "range": [-0.03 * right, right]},
        "yaxis": axis | {"title": {"text": accuracy_label(study)}, "range": [low, high]},
        "shapes": lines,
        "annotations": said,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
        "hovermode": "closest",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#111111"},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
    }


def _hover(trial: Trial) -> str:
    row = trial.row
    bounds = interval(trial)
    lines = [
        f"<b>trial {trial.number}</b>, {trial.family}{'' if row.verified else ', NOT VERIFIED'}",
        accuracy_text(row.accuracy_bit_true, row.accuracy_name)
        + (f" ({bounds[0]:.2f} to {bounds[1]:.2f})" if bounds else ""),
        f"{trial.area:g} {row.unit}, {row.ff} FF, {row.dsp} DSP, latency {row.latency}",
        *(f"{name}: {_escaped(value)}" for name, value in row.parameters.items()),
    ]
    return "<br>".join(lines)


def _escaped(value: Any) -> str:
    """Plotly draws some HTML in texts."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;")
