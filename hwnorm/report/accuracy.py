"""The picture of the network's accuracy, from LayerNorm to the integers of the hardware."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from hwnorm.report.artefacts import Accuracy
from hwnorm.report.style import BLACK, GREY, new_figure

#: The steps of ``realign.json`` in order, as people call them.
STEPS = {
    "layernorm": "LayerNorm",
    "functions_only": "functions only",
    "realigned": "re-aligned",
    "bit_true": "bit-true",
}

# Light to dark in grey as well; the hatched step is on the way, not a result.
_FACES = {"layernorm": "#bdbdbd", "functions_only": "#ffffff", "realigned": "#56B4E9", "bit_true": "#0072B2"}


def accuracy_figure(top1: Mapping[str, Accuracy]) -> Figure:
    """Draw a bar a step (the keys are those of :data:`STEPS`) with its 95 % interval."""
    figure, (axes,) = new_figure(3.2)
    for place, (step, accuracy) in enumerate(top1.items()):
        low, high = accuracy.interval
        axes.bar(
            place,
            accuracy.percent,
            width=0.6,
            color=_FACES[step],
            edgecolor=BLACK,
            linewidth=0.8,
            hatch="//" if step == "functions_only" else None,
            yerr=[[accuracy.percent - low], [high - accuracy.percent]],
            ecolor=BLACK,
            capsize=6,
        )
        axes.text(place, high + 1.5, f"{accuracy.percent:.2f} %", ha="center", va="bottom", fontsize=10)
    if "layernorm" in top1:
        axes.axhline(top1["layernorm"].percent, color=GREY, linewidth=0.8, linestyle="--", zorder=0.5)
    axes.set_xticks(range(len(top1)), [STEPS[step] for step in top1])
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("top-1, %")
    total = max(accuracy.total for accuracy in top1.values())
    axes.set_title(f"Top-1 on {total:,} test images, with 95 % intervals", loc="left", fontsize=10)
    return figure
