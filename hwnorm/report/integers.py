"""The network in integers: which rows of weights have 8 bits, and what each layer's codes leave over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hwnorm.fixed import FixedFormat
from hwnorm.integers.stored import LayerBits, StoredNetwork
from hwnorm.report.style import BLACK, BLUE, ORANGE, VERMILLION, new_figure

#: By the bits of a row.
_LOOKS: dict[int, dict[str, Any]] = {
    8: {"facecolor": BLUE, "hatch": "", "edgecolor": BLACK, "linewidth": 0.6},
    4: {"facecolor": ORANGE, "hatch": "///", "edgecolor": BLACK, "linewidth": 0.6},
}
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
