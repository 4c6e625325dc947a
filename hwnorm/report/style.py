"""What all pictures share: colours that the colour-blind can tell apart, size, and how they are saved."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten, wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwnorm.files import write_whole

# Of the palette of M. Okabe and K. Ito, "Color Universal Design" (2008).
BLACK = "#000000"
BLUE = "#0072B2"
SKY = "#56B4E9"
VERMILLION = "#D55E00"
GREY = "#8c8c8c"

_DPI = 120
#: Characters of an expression on one line of a picture, and in all of them.
_LINE, _MOST = 96, 192


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
    lines = wrap(shorten(expression, _MOST, placeholder=" ..."), _LINE)
    text = "\n".join([f"{layer}:  {figures}", *lines])
    figure.suptitle(text, x=0.01, ha="left", fontsize=9, parse_math=False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all; the same figure gives the same bytes."""
    write_whole(path, lambda beside: figure.savefig(beside, format="png", metadata={"Software": None}))
