"""Another format: the one cell that rounds, saturates or wraps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import (
    Bounded,
    CellDefinition,
    Form,
    Netlist,
    Operation,
    Range,
    Readers,
    VerilogCell,
)
from hwnorm.datapath.cells.bits import ZERO, Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat, Overflow, Rounding


class Resize(CellDefinition):
    """a in the node's format, by the node's rounding and overflow."""

    cell = Cell.RESIZE

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        return resize(args[0], formats[0], node.fmt, node.rounding, node.overflow)

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return None

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        (a,) = args
        low, high = resized(a, node.fmt.frac, node.rounding)
        if node.overflow == "sat":
            least, most = node.fmt.min_code, node.fmt.max_code
            return min(max(low, least), most), min(max(high, least), most)
        return low, high

    def form(self, node: Node) -> Form:
        # Rounding, rare inside a datapath, is not looked at.
        return "wires" if node.overflow == "wrap" else "gates"

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        plan = _plan(node, args[0].fmt.width, args[0].fmt.frac)
        steps: list[Operation] = [("round", (plan.exact,))] if plan.rounds else []
        if plan.saturates:
            steps += [("fits", (plan.exact - node.fmt.width + 1,)), ("mux", (node.fmt.width,))]
        return steps

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        (arg,), width = args, node.fmt.width
        plan = _plan(node, len(arg), net.nodes[node.args[0]].fmt.frac)
        value = extended(arg, -plan.drop, plan.exact if plan.saturates else width)
        half = extended(arg, 1 - plan.drop, 1)[0] if plan.rounds else ZERO
        if half != ZERO:
            net.operands[i] = value, [half]
            value = net.chain(i, node.stage, value, [half] * len(value))
        if plan.saturates:
            fits = net.new(node.stage, value[width - 1 :], i, "fits")
            sign = value[-1]
            value = [net.chosen(node.stage, fits, bit, sign) for bit in value[: width - 1]] + [sign]
        return value

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        if read.net.operands[i]:
            value, half = read.net.operands[i]
            read.signal({*value, *half}, node.stage)
            yield "round", (len({*value}),)
        agreeing = read.sources(i, "fits")
        if agreeing:
            read.signal(agreeing, node.stage)
            yield "fits", (len(agreeing),)

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        drop = formats[0].frac - node.fmt.frac
        frac = node.fmt.frac
        places = f"{frac} fractional bits" if frac >= 0 else f"multiples of 2**{-frac}"
        if drop > 0:
            how = f"rounded half up to {places}" if node.rounding == "rnd" else f"cut to {places}"
        else:
            how = f"with {places}" if drop < 0 else f"in {node.fmt.width} bits"
        return f"{args[0]}, {how}" + (", saturated" if node.overflow == "sat" else "")

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        """``floor(v / 2**drop + 1/2)`` is ``floor(v / 2**drop)`` plus the highest dropped bit."""
        node, source, fmt = cell.node, cell.args[0], cell.formats[0]
        plan = _plan(node, fmt.width, fmt.frac)
        kept = plan.exact if plan.saturates else node.fmt.width
        return {
            "args": [cell.bits(source, -plan.drop, kept)],
            "half": cell.bits(source, 1 - plan.drop, 1) if plan.rounds else None,
            "wide": cell.helper(f"{cell.name}_wide", plan.exact) if plan.saturates else None,
            "fits": cell.take(f"{cell.name}_fits") if plan.saturates else None,
            "wide_format": f"s{plan.exact}f{node.fmt.frac}",
            "format": node.fmt,
            "kept": kept,
        }

    def hls(
        self, node: Node, name: str, formats: Sequence[FixedFormat], take: Callable[[str], str]
    ) -> dict[str, Any]:
        # ap_fixed's headers cannot round away more bits than a number has: it is widened first.
        drop = formats[0].frac - node.fmt.frac
        return {"widened": FixedFormat(drop + 1, formats[0].frac) if drop >= formats[0].width else None}


@dataclass(frozen=True, slots=True)
class _Plan:
    """``drop`` low bits fall; ``exact`` bits hold every value after rounding, before saturation."""

    drop: int
    rounds: bool
    exact: int
    saturates: bool


def _plan(node: Node, width: int, frac: int) -> _Plan:
    """How a signal of so many bits comes into a node's format."""
    drop = frac - node.fmt.frac
    rounds = node.rounding == "rnd" and drop > 0
    exact = max(width - drop, 1) + rounds
    return _Plan(drop, rounds, exact, node.overflow == "sat" and exact > node.fmt.width)


def resize(
    codes: np.ndarray, source: FixedFormat, to: FixedFormat, rounding: Rounding, overflow: Overflow
) -> np.ndarray:
    """Codes of one format as codes of another: ``trn`` or ``rnd``, then ``sat`` or ``wrap``."""
    drop = source.frac - to.frac
    if drop > 0:
        if rounding == "rnd":
            codes = codes + (1 << (drop - 1))
        codes = codes >> drop
    else:
        codes = codes << -drop
    if overflow == "sat":
        return np.asarray(np.clip(codes, to.min_code, to.max_code))
    return np.asarray(((codes - to.min_code) & ((1 << to.width) - 1)) + to.min_code)


def resized(a: Bounded, frac: int, rounding: Rounding) -> Range:
    """The range of a signal in codes of ``frac`` fractional bits."""
    drop = a.frac - frac
    half = 1 << (drop - 1) if rounding == "rnd" and drop > 0 else 0
    low, high = (((v + half) >> drop) if drop > 0 else v << -drop for v in (a.low, a.high))
    return low, high
