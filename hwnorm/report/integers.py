"""The network in integers: bits of the rows of weights, what each layer's codes leave over, bytes saved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import offset_copy

from hwnorm.fixed import FixedFormat
from hwnorm.integers.stored import LayerBits, StoredNetwork
from hwnorm.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION, new_figure

#: By the bits of a row.
_LOOKS: dict[int, dict[str, Any]] = {
    8: {"facecolor": BLUE, "hatch": "", "edgecolor": BLACK, "linewidth": 0.6},
    4: {"facecolor": ORANGE, "hatch": "///", "edgecolor": BLACK, "linewidth": 0.6},
}
#: Steps whose weights are float32.
_FLOAT = ("layernorm", "bit_true")
#: How each step is drawn: marker and colour.
_MARKERS = {
    "layernorm": ("s", GREY),
    "bit_true": ("D", SKY),
    "weights": ("^", GREEN),
    "activations": ("v", ORANGE),
    "closed_form": ("P", VERMILLION),
    "integer": ("o", BLUE),
}
#: Between steps that have the same bytes, in points.
_APART = 11
#: Less than this share of the variance is drawn here: the axis is logarithmic.
_LEAST_LEFT = 1e-7


def sizes_text(network: StoredNetwork) -> str:
    """What the network takes, in one line: bytes of weights and of the largest buffers, and its formats."""
    buffers = ", ".join(f"{kind} {size / 1e3:.1f} kB" for kind, size in network.buffers.items())
    parts = [f"Weights: {network.weight_bits / 8e3:.1f} kB in rows of 4 and 8 bits."]
    if buffers:
        parts.append(f"Largest buffers for one image: {buffers}.")
    by_width = defaultdict[int, set[FixedFormat]](set)
    for operation in network.operations:
        by_width[operation.format.width].add(operation.format)
    formats = [
        f"{width} bits ({', '.join(map(str, sorted(found, key=lambda fmt: fmt.frac)))})"
        for width, found in sorted(by_width.items())
    ]
    if formats:
        parts.append(f"Formats of tensors: {'; '.join(formats)}.")
    return " ".join(parts)


def bits_figure(layers: Sequence[LayerBits]) -> Figure:
    """Draw a bar a linear layer, the first one on top: the shares of its rows at 8 and at 4 bits."""
    figure, (axes,) = _figure(layers)
    for place, layer in enumerate(layers):
        start = 0.0
        for bits, rows in ((8, layer.rows8), (4, layer.rows - layer.rows8)):
            length = 100 * rows / layer.rows
            if rows:
                axes.barh(place, length, left=start, height=0.7, **_LOOKS[bits])
            start += length
        _number(axes, place, f"{layer.weight_bits / 8e3:.1f} kB")
    axes.set_xlim(0, 100)
    axes.set_xlabel("rows of the layer, %")
    handles = [Patch(label=f"{bits} bits", **looks) for bits, looks in _LOOKS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle(
        "Bits of the rows of weights, and what the layer's weights take", x=0.01, ha="left", fontsize=10
    )
    return figure


def left_figure(layers: Sequence[LayerBits]) -> Figure:
    """Draw a dot a linear layer, the first one on top: what its codes leave of its target's variance."""
    figure, (axes,) = _figure(layers)
    shares = [100 * max(_LEAST_LEFT, layer.left) for layer in layers]
    places = range(len(layers))
    axes.plot(shares, places, "o", color=VERMILLION, markeredgecolor=BLACK, markersize=6)
    for place, layer in enumerate(layers):
        _number(axes, place, f"{100 * layer.left:.2g} %")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(min(shares) / 2, max(shares) * 2)
    axes.grid(visible=True, axis="y")
    axes.set_xlabel("share of the target's variance that the layer's codes leave, %")
    figure.suptitle("Error layer by layer, in the order of execution", x=0.01, ha="left", fontsize=10)
    return figure


def bytes_figure(network: StoredNetwork) -> Figure:
    """Draw a marker a step to integers: top-1, or the cosine without classes, against bytes of weights.

    Whiskers are as :func:`hwnorm.report.accuracy.accuracy_figure` has them. Steps of the same bytes stand
    side by side, about a line at their bytes.
    """
    figure, (axes,) = new_figure(3.2)
    in_float = sum(layer.rows * layer.inputs for layer in network.layers) * 4 / 1e3
    in_rows = network.weight_bits / 8e3
    steps = list(network.steps)
    sizes = {step: in_float if step in _FLOAT else in_rows for step in steps}
    for size, text in ((in_float, "float32"), (in_rows, "rows of 4 and 8 bits")):
        axes.axvline(size, color=GREY, linewidth=0.8, zorder=0.5)
        at = axes.get_xaxis_transform()
        axes.text(size, 1.02, f"{size:,.1f} kB, {text}", ha="center", fontsize=8, transform=at)
    scores = {step: network.scores[step] for step in steps}
    values = {step: x.cosine if x.top1 is None else x.top1.percent for step, x in scores.items()}
    ends = list(values.values())
    for step, value in values.items():
        size, (marker, colour) = sizes[step], _MARKERS[step]
        same = [other for other in steps if sizes[other] == size]
        place = _APART * (same.index(step) - (len(same) - 1) / 2)
        beside = offset_copy(axes.transData, figure, x=place, units="points")
        if (paired := network.paired.get(step)) is not None:
            low, high = (value + end - paired.difference for end in paired.interval)
            ends += [low, high]
            whiskers = [[value - low], [high - value]]
            axes.errorbar(size, value, whiskers, fmt="none", ecolor=BLACK, capsize=4, transform=beside)
        looks: dict[str, Any] = {"color": colour, "markeredgecolor": BLACK, "markersize": 7}
        axes.plot(size, value, marker, label=network.steps[step], transform=beside, **looks)
    axes.axhline(values["layernorm"], color=GREY, linewidth=0.8, linestyle="--", zorder=0.5)
    margin = 0.1 * (max(ends) - min(ends)) or 0.1
    axes.set_ylim(min(ends) - margin, max(ends) + margin)
    axes.set_xlim(0, 1.1 * in_float)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("weights, kB")
    axes.set_ylabel("top-1, %" if scores["layernorm"].top1 else "mean cosine to the original")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(
        "Accuracy against bytes of weights; 95 % intervals of the difference to the original",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    return figure


def _figure(layers: Sequence[LayerBits]) -> tuple[Figure, list[Axes]]:
    """A line a layer, named at its left."""
    figure, (axes,) = new_figure(1.4 + 0.17 * len(layers))
    axes.set_ylim(len(layers) - 0.4, -0.6)
    axes.set_yticks(range(len(layers)), [layer.layer for layer in layers], fontsize=7)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return figure, [axes]


def _number(axes: Axes, place: float, text: str) -> None:
    """Write a layer's figure at the right of its line."""
    at = axes.get_yaxis_transform()
    axes.annotate(text, (1, place), (5, 0), at, textcoords="offset points", va="center", fontsize=7)
