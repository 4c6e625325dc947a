"""What all pictures share: colours that the colour-blind can tell apart, size, and how they are saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    figure.suptitle(text, x=0.01, ha="left", fontsize=9, parse_math=False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG and, beside it, an SVG, each whole or not at all; the same figure gives the same bytes."""
    write_whole(path, lambda beside: figure.savefig(beside, format="png", metadata={"Software": None}))
    # Without a salt of its own an SVG's identifiers are drawn at random.
    with rc_context({"svg.hashsalt": "hwnorm"}):
        write_whole(
            path.with_suffix(".svg"),
            lambda beside: figure.savefig(beside, format="svg", metadata={"Date": None, "Creator": None}),
        )
