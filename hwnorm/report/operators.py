"""The picture of what kernels are made of: area and latency, stacked by operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from hwnorm.cost.cost import Resources, area_by_kind, cycles_by_kind
from hwnorm.datapath.ir import Datapath
from hwnorm.report.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    YELLOW,
    new_figure,
)
from hwnorm.targets.target import Target


@dataclass(frozen=True)
class _Group:
    name: str
    kinds: tuple[str, ...]
    colour: str
    hatch: str


#: Kinds of ``hwnorm.targets.target.KINDS`` that people think of as one; variants of gates end in a suffix.
_GROUPS = (
    _Group("tables", ("table",), SKY, ""),
    _Group(
        "sums, rounding",
        ("add", "sub", "constant_sum", "constant_low", "operand", "negate", "magnitude", "round"),
        ORANGE,
        "///",
    ),
    _Group("products", ("mul", "square"), PURPLE, "xxx"),
    _Group("comparisons", ("compare", "compare_constant", "compare_sign", "fits"), BLUE, "..."),
    _Group(
        "multiplexers, gates", ("mux", "mux_constant", "gate", "complement", "constant_one"), GREEN, "\\\\\\"
    ),
    _Group("leading ones", ("float",), YELLOW, "++"),
    _Group("registers", ("register",), "#d9d9d9", "|||"),
    _Group("stream buffer", ("skid",), "#ffffff", "---"),
)
_OF_KIND = {kind: group for group in _GROUPS for kind in group.kinds}
_SUFFIXES = ("_packed", "_summed", "_reset")


@dataclass(frozen=True)
class Parts:
    """One bar: area in the target's unit and latency in cycles by kinds of operations.

    ``note`` is written behind the area.
    """

    label: str
    area: Mapping[str, float]
    cycles: Mapping[str, float]
    note: str


def parts_of(label: str, datapath: Datapath | None, used: Resources, target: Target) -> Parts:
    """The bar of one kernel, for one lane and without the stream wrapper; of one that folds an empty bar."""
    if datapath is None:
        return Parts(label, {}, {}, "folds")
    area = area_by_kind(datapath.nodes, datapath.latency, target)
    cycles = cycles_by_kind(datapath.nodes, datapath.latency, target)
    return Parts(label, area, cycles, note_of(used, target.unit))


def note_of(used: Resources, unit: str) -> str:
    """Resources in few words, without those that are none."""
    area = f"{used.lut} LUT" if unit == "LUT" else f"{used.area:g} {unit}"
    return ", ".join([area, f"{used.ff} FF", *([f"{used.dsp} DSP"] if used.dsp else [])])


def operators_figure(bars: Sequence[Parts], unit: str, title: str) -> Figure:
    """Draw two bars a kernel, the first one on top: its area, and its latency by the slowest paths."""
    figure, (left, right) = new_figure(1.7 + 0.27 * len(bars), panels=2)
    _draw(left, [bar.area for bar in bars])
    _draw(right, [bar.cycles for bar in bars])
    most = max((sum(bar.area.values()) for bar in bars), default=0.0) or 1.0
    for place, bar in enumerate(bars):
        at = sum(bar.area.values()) + 0.02 * most
        left.text(at, place, bar.note, va="center", fontsize=8)
    left.set_xlim(0, 1.55 * most)
    left.set_yticks(range(len(bars)), [bar.label for bar in bars], fontsize=8)
    right.set_yticks(range(len(bars)), [""] * len(bars))
    left.set_xlabel(f"area, {unit}, as predicted")
    right.set_xlabel("latency, cycles")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    used = {_group(kind).name for bar in bars for kind in (*bar.area, *bar.cycles)}
    handles = [_patch(group) for group in _GROUPS if group.name in used]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _draw(axes: Axes, bars: Sequence[Mapping[str, float]]) -> None:
    for place, bar in enumerate(bars):
        start = 0.0
        for group in _GROUPS:
            length = grouped(bar).get(group.name, 0.0)
            if length:
                axes.barh(place, length, left=start, height=0.68, **_looks(group))
                start += length
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def grouped(parts: Mapping[str, float]) -> dict[str, float]:
    """Parts by the names of their groups, in the order of legends."""
    found: dict[str, float] = {}
    for group in _GROUPS:
        for kind, value in parts.items():
            if _group(kind) is group:
                found[group.name] = found.get(group.name, 0.0) + value
    return found


def _group(kind: str) -> _Group:
    for suffix in _SUFFIXES:
        kind = kind.removesuffix(suffix)
    return _OF_KIND[kind]


def _looks(group: _Group) -> dict[str, Any]:
    return {"facecolor": group.colour, "hatch": group.hatch, "edgecolor": BLACK, "linewidth": 0.6}


def _patch(group: _Group) -> Patch:
    return Patch(label=group.name, **_looks(group))
