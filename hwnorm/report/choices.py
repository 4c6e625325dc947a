"""The picture of the choices for the network: area against loss, predicted and measured."""

from __future__ import annotations

from matplotlib.figure import Figure

from hwnorm.choose.choices import Choices
from hwnorm.network.choice import Choice
from hwnorm.report.style import BLACK, BLUE, VERMILLION, new_figure

#: A loss below this is drawn here: the axis is logarithmic.
_LEAST_LOSS = 1e-6


def choices_figure(choices: Choices, chosen: Choice | None) -> Figure:
    """Draw the whole front as predicted, the choices that were measured, and the one that is built."""
    figure, (axes,) = new_figure(3.8)
    area = [point.area for point in choices.front]
    predicted = [max(_LEAST_LOSS, point.predicted_loss) for point in choices.front]
    label = f"predicted, {len(choices.front)} choices"
    axes.step(area, predicted, where="post", color=BLUE, linewidth=1.2, zorder=2, label=label)
    measured = [(p.area, p.measured_loss) for p in choices.front if p.measured_loss is not None]
    if measured:
        x, y = zip(*measured, strict=True)
        shown = [max(_LEAST_LOSS, loss) for loss in y]
        axes.plot(x, shown, "o", color=BLACK, markersize=5, zorder=3, label="measured on the whole network")
    if chosen is not None and chosen.measured_loss is not None:
        at = chosen.area, max(_LEAST_LOSS, chosen.measured_loss)
        axes.plot(*at, "D", color=VERMILLION, markeredgecolor=BLACK, markersize=9, zorder=4, label="chosen")
    axes.set_yscale("log")
    axes.margins(0.05, 0.12)
    axes.set_xlabel("area of all kernels together, one lane each")
    axes.set_ylabel(choices.loss)
    axes.legend(fontsize=9)
    axes.set_title("Choices of one function a layer", loc="left", fontsize=10)
    return figure
