"""The engine: a diagram of it as built, the phases of an image, and the engines that it was picked from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from hwnorm.engine.engine import STREAM_BITS
from hwnorm.engine.stored import PhaseCycles, StoredCosim, StoredEngine
from hwnorm.report.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, new_figure

#: What the cycles of a phase are: colour, hatch and how the legend names it.
_PARTS = {
    "codes": (GREY, "///", "waits for codes of the phase before"),
    "array": (BLUE, "", "the array multiplies"),
    "epilogue": (ORANGE, "\\\\\\", "waits for the epilogue"),
    "weights": (VERMILLION, "xxx", "waits for weights"),
    "softmax": (GREEN, "...", "waits for the softmax"),
    "norm": (PURPLE, "++", "waits for the LayerNorm unit"),
}
#: By name, the diagram's blocks: the middle of each in a picture of 100 x 62, its size, and its colour.
_BLOCKS = {
    "sequencer": (13, 55, 20, 9, "#eeeeee"),
    "weights": (40, 55, 22, 9, SKY),
    "image": (13, 39, 20, 9, SKY),
    "activations": (13, 25, 20, 9, SKY),
    "softmax codes": (13, 11, 20, 9, SKY),
    "array": (40, 32, 22, 16, YELLOW),
    "keys and values": (40, 11, 22, 9, SKY),
    "epilogue": (67, 32, 20, 16, YELLOW),
    "softmax": (67, 11, 20, 9, YELLOW),
    "stream": (67, 55, 20, 9, SKY),
    "logits": (91, 32, 13, 9, SKY),
}
#: Where data go: the points of each arrow, from block to block.
_ARROWS = (
    ((51, 55), (54, 55), (54, 36), (57, 36)),  # a row's bias, multiplier and place
    ((40, 50.5), (40, 40)),
    ((23, 39), (29, 39)),
    ((23, 28), (29, 28)),
    ((23, 11), (26, 11), (26, 25), (29, 25)),
    ((40, 15.5), (40, 24)),
    ((51, 32), (57, 32)),
    ((64, 50.5), (64, 40)),
    ((70, 40), (70, 50.5)),
    ((77, 32), (84.5, 32)),
    ((67, 24), (67, 15.5)),
    ((57, 11), (54, 11), (54, 3), (13, 3), (13, 6.5)),
    ((60, 24), (60, 20), (46, 20), (46, 15.5)),
    ((60, 20), (13, 20), (13, 20.5)),
)


def sentence(engine: StoredEngine, cosim: StoredCosim | None) -> str:
    """What the engine does, and whether its Verilog was seen to."""
    picked, array = engine.picked, engine.picked.engine.engine()
    text = (
        f"{array}: {picked.cycles:,} cycles an "
        f"image, {engine.rate(picked):,.0f} images a second at {engine.clock_mhz:g} MHz, which is assumed; "
        f"the multipliers are used for {100 * picked.utilisation:.1f} % of what they could make."
    )
    if cosim is None:
        return f"{text} Its Verilog was not simulated: this run has no cosim.json."
    return (
        f"{text} Its Verilog was simulated with {cosim.images:,} images: the logits of "
        f"{cosim.logits_equal:,} are those of the integer network, the cycles of {cosim.cycles_equal:,} "
        f"those that are predicted."
    )


def diagram_figure(engine: StoredEngine) -> Figure:
    """Draw its blocks with their sizes, and where data go between them."""
    array = engine.picked.engine.engine()
    memories, bits = engine.memories, array.activation_bits
    four, eight = array.products
    word = max(array.word_bits(4), array.word_bits(8))
    lane = array.tokens * bits

    def kilobytes(*sizes: int) -> str:
        return f"{sum(sizes) / 8192:.1f} KiB"

    luts = [f"{array.lut_multipliers} of LUTs"] if array.lut_multipliers else []
    texts = {
        "sequencer": ("sequencer", f"{memories['phases']} phases", "AXI4-Lite"),
        "weights": ("weights", f"two buffers, {kilobytes(2 * memories['weights'] * word)}",
                    f"AXI4-Stream, {array.beat} bits"),
        "image": ("image", "two images", "AXI4-Stream"),
        "activations": ("activations", kilobytes(memories["activations"] * array.depth * lane),
                        f"{array.depth} x {lane} bits"),
        "softmax codes": ("exponentials", kilobytes(memories["probabilities"] * array.depth * lane),
                          f"{array.depth} x {lane} bits"),
        "array": ("array", f"{array.tokens} x {array.columns} x {array.depth}",
                  f"{array.multipliers - array.lut_multipliers} multipliers", *luts,
                  f"{four} products at 4 bits", f"{eight} at 8 bits"),
        "keys and values": ("keys, values", kilobytes(memories["keys"] * array.depth * lane,
                                                      memories["values"] * array.rows8 * lane),
                            "in the place of weights"),
        "epilogue": ("epilogue", f"{array.tokens} lanes", f"multiply by {array.rescale.upper()}s",
                     "stream, shift, saturate", "function unit"),
        "softmax": ("softmax", f"{array.tokens} lanes", f"{memories['digits']} digits"),
        "stream": ("stream", kilobytes(memories["stream"] * array.tokens * STREAM_BITS),
                   f"{array.tokens} x {STREAM_BITS} bits"),
        "logits": ("logits", f"{memories['classes']} classes", "AXI4-Stream"),
    }  # fmt: skip
    figure, (axes,) = new_figure(4.9)
    axes.set_axis_off()
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 62)
    for points in _ARROWS:
        for start, end in pairwise(points):
            style = "-|>" if end == points[-1] else "-"
            looks = {"arrowstyle": style, "color": BLACK, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", end, start, arrowprops=looks)
    for name, (x, y, width, height, colour) in _BLOCKS.items():
        corner = (x - width / 2, y - height / 2)
        box = FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=1", alpha=0.55)
        box.set(facecolor=colour, edgecolor=BLACK, linewidth=0.8)
        axes.add_patch(box)
        head, *rest = texts[name]
        lines = len(rest)
        axes.text(x, y + 1.25 * lines, head, ha="center", va="center", fontsize=8.5, weight="bold")
        for number, line in enumerate(rest):
            axes.text(x, y + 1.25 * lines - 2.6 * (number + 1), line, ha="center", va="center", fontsize=7)
    figure.suptitle(f"The engine as built for {engine.target}", x=0.01, ha="left", fontsize=10)
    return figure


def phases_figure(phases: Sequence[PhaseCycles]) -> Figure:
    """Draw the phases of an image over its cycles, those of one kind in a line with their cycles and waits.

    The parts of a bar have the lengths that they have together: waiting and work alternate. The wait for
    codes comes before a phase's first word.
    """
    lines: dict[str, list[PhaseCycles]] = {}
    for phase in phases:
        lines.setdefault(_kind(phase.name), []).append(phase)
    figure, (axes,) = new_figure(1.5 + 0.3 * len(lines))
    for place, together in enumerate(lines.values()):
        for phase in together:
            start = phase.begin - phase.waited["codes"]
            for part, (colour, hatch, _) in _PARTS.items():
                length = _cycles(phase, part)
                if length:
                    axes.barh(place, length, left=start, height=0.7, color=colour, hatch=hatch)
                    start += length
        cycles = sum(_cycles(phase, part) for phase in together for part in _PARTS)
        waiting = 1 - sum(phase.busy for phase in together) / cycles
        text = f"{cycles:,}, {100 * waiting:.1f} % waiting"
        axes.text(1.01, place, text, va="center", fontsize=8, transform=axes.get_yaxis_transform())
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(range(len(lines)), list(lines), fontsize=8)
    axes.set_xlim(0, phases[-1].end * 1.01)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("cycles from the image's start")
    handles = [Patch(facecolor=colour, hatch=hatch, label=text) for colour, hatch, text in _PARTS.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)
    title = "The phases of an image, and the cycles that those of a kind take together"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _cycles(phase: PhaseCycles, part: str) -> int:
    """Of a phase, those that are such a part."""
    if part == "norm":
        return phase.end - phase.begin if phase.op == "norm" else 0
    return phase.busy if part == "array" else phase.waited[part]


def engines_figure(engine: StoredEngine) -> Figure:
    """Draw images a second against multipliers: the engines that no smaller one beats, and the one picked."""
    figure, (axes,) = new_figure(3.2)
    points = [(point.dsps, engine.rate(point)) for point in engine.front]
    axes.step(*zip(*points, strict=True), where="post", color=GREY, linewidth=0.8, zorder=0.5)
    axes.plot(*zip(*points, strict=True), "o", color=SKY, markeredgecolor=BLACK, label="engines of the front")
    picked = engine.picked
    looks: dict[str, Any] = {"color": VERMILLION, "markeredgecolor": BLACK, "markersize": 13}
    axes.plot(picked.dsps, engine.rate(picked), "*", label="the engine picked", **looks)
    _from_zero(axes)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("multipliers of the device")
    axes.set_ylabel(f"images a second at {engine.clock_mhz:g} MHz")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle("Engines that no smaller one beats", x=0.01, ha="left", fontsize=10)
    return figure


def _from_zero(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)


def _kind(name: str) -> str:
    """What phases of all blocks and heads have in common; of layers that are computed together, the first."""
    first, *others = name.split(" blocks.")
    kind = re.sub(r" head \d+$", "", re.sub(r"\.\d+\.", ".*.", first))
    return f"{kind} and {len(others)} more" if others else kind
