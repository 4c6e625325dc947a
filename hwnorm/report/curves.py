"""The fit of a layer for the page: what the norm does, where x is, and the function in its place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from hwnorm.expression import parse
from hwnorm.files import digest
from hwnorm.network.choice import Chosen
from hwnorm.profile import LayerProfile
from hwnorm.report.fit import core, density
from hwnorm.report.style import BLACK, BLUE, SKY, VERMILLION

#: Points of a curve.
_POINTS = 240
#: The share of the plot's height that the density's peak takes.
_DENSITY_HEIGHT = 0.18


class Curves:
    """What the data alone decides, by its hash: trials on the same data share it."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, list[float | None]]] = {}

    def add(self, profile: LayerProfile, chosen: Chosen) -> dict[str, Any]:
        """The key of the layer's data, and the function and its hardware on the same x."""
        grid = np.linspace(*core(profile), _POINTS)
        step = (grid[1] - grid[0]) / 2
        square = profile.sum_yy[profile.count > 0] / profile.weight
        sigma = np.sqrt(np.maximum(0.0, square - profile.y**2))
        mean, spread = (np.interp(grid, profile.x, values) for values in (profile.y, sigma))
        shares = density(profile, np.append(grid - step, grid[-1] + step))
        found = {
            "x": _short(grid),
            "mean": _short(mean),
            "low": _short(mean - spread),
            "high": _short(mean + spread),
            "density": _short(shares / (shares.max() or 1.0)),
        }
        key = digest(found)
        self.data[key] = found
        curves: dict[str, Any] = {"data": key, "f": _short(parse(chosen.expression).numpy(grid))}
        if chosen.datapath is not None:
            path = chosen.datapath
            curves["bits"] = _short(path.output.to_float(path.evaluate(path.input.quantize(grid))))
        return curves


def _short(values: np.ndarray) -> list[float | None]:
    """Four digits are more than a plot shows; where a function has no value there is a gap."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def fit_plot() -> dict[str, Any]:
    """The plot for Plotly without its points; a trace's ``meta`` is the name of the curve that is its y."""
    from plotly import graph_objects as go

    axis = {"gridcolor": "#dddddd", "linecolor": BLACK, "zeroline": False, "ticks": "outside"}
    figure = go.Figure(
        layout={
            "template": "none",
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "height": 380,
            "xaxis": axis | {"title": {"text": "x, input of the norm: 99.8 % of the points"}},
            "yaxis": axis | {"title": {"text": "y, normalized output"}},
            "yaxis2": {"overlaying": "y", "range": [0, 1 / _DENSITY_HEIGHT], "visible": False},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "margin": {"l": 60, "r": 20, "t": 20, "b": 50},
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#111111"},
            "hovermode": "x",
        }
    )
    band, silent = {"width": 0, "color": SKY}, {"hoverinfo": "skip"}
    traces: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (
            "density",
            "density of x (no scale)",
            {
                "line": {"width": 0},
                "fill": "tozeroy",
                "fillcolor": "#c4c4c4",
                "yaxis": "y2",
                "hoverinfo": "skip",
            },
        ),
        ("low", "", {"line": band, "showlegend": False} | silent),
        (
            "high",
            "E[y|x] \N{PLUS-MINUS SIGN} sigma",
            {"line": band, "fill": "tonexty", "fillcolor": "rgba(86,180,233,.35)"} | silent,
        ),
        ("mean", "E[y|x], the ceiling", {"line": {"color": BLUE, "width": 1.5, "dash": "dot"}}),
        ("f", "f(x)", {"line": {"color": VERMILLION, "width": 3}}),
        ("bits", "bit-true", {"line": {"color": BLACK, "width": 1, "shape": "hvh"}}),
    )
    for curve, name, looks in traces:
        figure.add_scatter(x=[], y=[], mode="lines", meta=curve, name=name, **looks)
    found: dict[str, Any] = json.loads(figure.to_json())
    return found
