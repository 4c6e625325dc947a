"""The picture of the network's accuracy, from LayerNorm to the integers of the hardware."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from hwnorm.realign.realigned import Counted, Paired
from hwnorm.report.style import BLACK, GREY, new_figure
from hwnorm.rounding import percent_text

#: The steps of ``realign.json`` in order, as people call them.
STEPS = {
    "layernorm": "LayerNorm",
    "functions_only": "functions only",
    "realigned": "re-aligned",
    "bit_true": "bit-true",
}

# Light to dark in grey as well; the hatched step is on the way, not a result.
_FACES = {"layernorm": "#bdbdbd", "functions_only": "#ffffff", "realigned": "#56B4E9", "bit_true": "#0072B2"}


def difference_text(paired: Paired) -> str:
    """Points to the original and their 95 % interval: ``-0.70 (-1.40 to +0.01)``; of a cosine four digits."""
    (low, high), digits = paired.interval, 4 if paired.mcnemar_p is None else 2
    return f"{paired.difference:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def accuracy_figure(top1: Mapping[str, Counted], paired: Mapping[str, Paired]) -> Figure:
    """Draw a bar a step (the keys are those of :data:`STEPS`).

    Its whiskers are the 95 % interval of its difference to LayerNorm on the same images, whose height the
    dashed line has: a step whose whiskers leave the line out differs from it.
    """
    figure, (axes,) = new_figure(3.2)
    for place, (step, accuracy) in enumerate(top1.items()):
        axes.bar(
            place,
            accuracy.percent,
            width=0.6,
            color=_FACES[step],
            edgecolor=BLACK,
            linewidth=0.8,
            hatch="//" if step == "functions_only" else None,
        )
        top, text = accuracy.percent, percent_text(accuracy.percent)
        if step in paired:
            found = paired[step]
            (low, high), middle = found.interval, found.difference
            whiskers = [[middle - low], [high - middle]]
            axes.errorbar(place, accuracy.percent, yerr=whiskers, ecolor=BLACK, capsize=6, fmt="none")
            top += high - middle
            text += f"\n{difference_text(found)}"
        # White behind it, as the dashed line may pass there.
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        axes.text(place, top + 1.5, text, ha="center", va="bottom", fontsize=9, bbox=behind)
    if "layernorm" in top1:
        axes.axhline(top1["layernorm"].percent, color=GREY, linewidth=0.8, linestyle="--", zorder=0.5)
    axes.set_xticks(range(len(top1)), [STEPS[step] for step in top1])
    axes.grid(visible=False, axis="x")
    axes.set_ylim(0, 118)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("top-1, %")
    total = max(accuracy.total for accuracy in top1.values())
    title = f"Top-1 on {total:,} test images; points to LayerNorm on the same images, with 95 % intervals"
    axes.set_title(title, loc="left", fontsize=10)
    return figure
