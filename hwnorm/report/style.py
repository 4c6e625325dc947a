"""What all pictures share: colours that the colour-blind can tell apart, size, and how they are saved."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from hwnorm.files import write_whole

# Of the palette of M. Okabe and K. Ito, "Color Universal Design" (2008).
BLACK = "#000000"
BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#8c8c8c"

_DPI = 120
#: Inches beside the panels of :func:`set_margins`: numbers and label, a number's half, numbers.
_LEFT, _RIGHT, _BETWEEN = 0.85, 0.2, 0.6
#: Characters of an expression on one line of a picture, and its most lines.
_LINE, _MOST_LINES = 96, 2


@dataclass(frozen=True)
class Look:
    """How a family of functions is marked: by shape as much as by colour, in matplotlib and in Plotly."""

    colour: str
    marker: str
    symbol: str


#: The families of the search and its rivals (``docs/search.md``), in the order of legends.
FAMILIES = {
    "evolved": Look(BLUE, "o", "circle"),
    "table": Look(VERMILLION, "s", "square"),
    "pwl": Look(GREEN, "D", "diamond"),
    "clip-affine": Look(ORANGE, "^", "triangle-up"),
    "affine": Look(BLACK, "P", "cross"),
    "dyt": Look(SKY, "v", "triangle-down"),
    "derf": Look(PURPLE, "p", "pentagon"),
    "hardtanh": Look(YELLOW, "h", "hexagon"),
    "published": Look(YELLOW, "*", "star"),
    "polynomial": Look(GREY, "X", "x"),
}
#: Of a family that is not among them.
OTHER = Look("#ffffff", "8", "octagon")


def in_order(families: set[str]) -> list[str]:
    """Families as legends list them."""
    return sorted(families, key=lambda name: (list(FAMILIES).index(name) if name in FAMILIES else 99, name))


def new_figure(height: float = 3.7, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of 7.6 inches by ``height`` with panels side by side, apart from pyplot's global state."""
    figure = Figure(figsize=(7.6, height), dpi=_DPI, layout="constrained")
    found = [figure.add_subplot(1, panels, number + 1) for number in range(panels)]
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, found


def set_title(figure: Figure, layer: str, expression: str, figures: str) -> None:
    """Head a picture: the layer and its figures, then the expression, broken where it is long."""
    lines = wrap(expression, _LINE, max_lines=_MOST_LINES, placeholder=" ...")
    text = "\n".join([f"{layer}:  {figures}", *lines])
    top = 1 - 0.06 / figure.get_size_inches()[1]
    figure.suptitle(text, x=0.01, y=top, va="top", ha="left", fontsize=9, parse_math=False)


def set_margins(figure: Figure, legend_columns: int) -> None:
    """Lay out a picture whose parts are of known size, and put its legend below it.

    For pictures with a title by :func:`set_title` and numbers at their axes. Constrained layout measures
    every text, which takes as long as drawing them.

    Args:
        figure: with panels side by side, the last of which has all that the legend names.
        legend_columns: entries of the legend side by side.
    """
    panels = figure.axes
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=legend_columns, fontsize=8)
    width, height = figure.get_size_inches()
    rows = -(-len(labels) // legend_columns)
    bottom = 0.62 + 0.235 + 0.16 * (rows - 1)
    top = 0.12 + 0.155 * (figure.get_suptitle().count("\n") + 1)
    if any(axes.get_title() for axes in panels):
        top += 0.22
    inside = (width - _LEFT - _RIGHT - _BETWEEN * (len(panels) - 1)) / len(panels)
    figure.set_layout_engine(None)
    figure.subplots_adjust(
        left=_LEFT / width,
        right=1 - _RIGHT / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=_BETWEEN / inside,
    )
    for axes in panels:
        # Where labels stand is known as well: otherwise the numbers at the axes are measured for it.
        axes.xaxis.set_label_coords(0.5, -0.3 / (height - bottom - top))
        axes.yaxis.set_label_coords(-(_LEFT - 0.25) / inside, 0.5)


def draw_stairs(axes: Axes, values: np.ndarray, edges: np.ndarray, **looks: Any) -> None:
    """As ``axes.stairs``, for axes whose limits are set: it looks for the limits of every single step."""
    axes.add_artist(StepPatch(values, edges, **looks))


def warm_up() -> None:
    """Load the fonts and what writes a PNG, for which a process's first picture waits otherwise."""
    figure, _ = new_figure()
    figure.savefig(BytesIO(), format="png")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG and, beside it, an SVG, each whole or not at all; the same figure gives the same bytes."""
    # Laid out once, for both: otherwise each of them lays it out, and draws it once more to do so.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    write_whole(path, lambda beside: figure.savefig(beside, format="png", metadata={"Software": None}))
    # Without a salt of its own an SVG's identifiers are drawn at random.
    with rc_context({"svg.hashsalt": "hwnorm"}):
        write_whole(
            path.with_suffix(".svg"),
            lambda beside: figure.savefig(beside, format="svg", metadata={"Date": None, "Creator": None}),
        )
