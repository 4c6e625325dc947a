"""What minimum and maximum have in common: a comparison, and a choice by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from hwnorm.datapath.cells.base import CellDefinition, Form, Netlist, Operation, Readers, VerilogCell
from hwnorm.datapath.cells.bits import ONE, Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import MAX_WIDTH


class Limit(CellDefinition):
    """The smaller or the greater of a and b."""

    arity = 2
    #: What a is to b where a is chosen.
    relation: ClassVar[str]

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return max(fracs)

    def form(self, node: Node) -> Form:
        return "gates"

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        frac = max(a.fmt.frac for a in args)
        wide = max(a.fmt.width + frac - a.fmt.frac for a in args)
        if any(a.cell is Cell.CONSTANT for a in args):
            return [("compare_constant", (wide,)), ("mux_constant", (node.fmt.width,))]
        return [("compare", (wide,)), ("mux", (node.fmt.width,))]

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        pair = compared(net.nodes, i)
        shifts, wide = _alignment(net.nodes, pair)
        first, second = (extended(net.of[a], shift, wide) for a, shift in zip(pair, shifts, strict=True))
        net.operands[i] = first, second
        choice = net.new(node.stage, {*first, *second}, i, "first")
        shifts, _ = _alignment(net.nodes, node.args)
        a, b = (extended(arg, shift, node.fmt.width) for arg, shift in zip(args, shifts, strict=True))
        return [net.chosen(node.stage, choice, p, q) for p, q in zip(a, b, strict=True)]

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        """A comparison of two signals, or with a constant in the bits that decide."""
        first, second = read.net.operands[i]
        constant = [bits for bits in (first, second) if all(bit <= ONE for bit in bits)]
        if not constant:
            read.signal({*first, *second}, node.stage)
            yield "compare", (len(first),)
            return
        limit = constant[0]
        code = sum(bit << place for place, bit in enumerate(limit[:-1])) - (limit[-1] << len(limit) - 1)
        low = min(simplest_limit(code)[1], len(limit) - 1)
        read.signal({*first[low:], *second[low:]}, node.stage)
        yield ("compare_constant", (len(limit) - low,)) if low < len(limit) - 1 else ("compare_sign", (1,))

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        """A constant is compared in no more bits than decide."""
        nodes, node = cell.nodes, cell.node
        shifts, _ = _alignment(nodes, node.args)
        line: dict[str, Any] = {
            "args": [cell.bits(a, s, node.fmt.width) for a, s in zip(cell.args, shifts, strict=True)],
            "first": cell.take(f"{cell.name}_first"),
            "relation": self.relation,
            "limit": None,
        }
        pair = compared(nodes, cell.index)
        shifts, wide = _alignment(nodes, pair)
        cells = [nodes[a].cell for a in pair]
        if Cell.CONSTANT not in cells:
            line["compared"] = [cell.bits(cell.at(a), s, wide) for a, s in zip(pair, shifts, strict=True)]
            return line
        fixed = cells.index(Cell.CONSTANT)
        limit, zeros = simplest_limit(nodes[pair[fixed]].parameter << shifts[fixed])
        low = min(zeros, wide - 1)
        line["limit"], line["limit_width"] = limit >> low, wide - low
        line["bound"] = cell.at(pair[fixed])
        line["compared"] = [cell.bits(cell.at(pair[1 - fixed]), shifts[1 - fixed] - low, wide - low)]
        # "below the limit" chooses the signal of a minimum and the constant of a maximum.
        if (self.relation == "<") == (fixed == 0):
            line["args"].reverse()
        return line


def _alignment(nodes: Sequence[Node], pair: Sequence[int]) -> tuple[list[int], int]:
    """The shifts that align two signals, and the bits that hold both."""
    formats = [nodes[a].fmt for a in pair]
    shifts = [max(f.frac for f in formats) - f.frac for f in formats]
    return shifts, max(f.width + s for f, s in zip(formats, shifts, strict=True))


def simplest_limit(limit: int) -> tuple[int, int]:
    """A limit t for which a < t chooses as well as a < ``limit``, and how many of its low bits are zero.

    At a == limit the signal and the limit are the same, so that limit + 1 does too: the one of more zeros.
    """
    zeros = {t: (t & -t).bit_length() - 1 if t else MAX_WIDTH for t in (limit, limit + 1)}
    best = max(zeros, key=lambda t: zeros[t])
    return best, zeros[best]


def compared(nodes: Sequence[Node], i: int) -> tuple[int, ...]:
    """The signals that a minimum or maximum compares to choose between its arguments.

    Limited by a constant, what was limited before is compared as it was before then: max(a, -c) > c where
    a > c. Both are compared at once.
    """
    node = nodes[i]
    fixed = [n for n, arg in enumerate(node.args) if nodes[arg].cell is Cell.CONSTANT]
    if len(fixed) != 1:
        return node.args
    limit, signal = _real(nodes[node.args[fixed[0]]]), node.args[1 - fixed[0]]
    while True:
        before = nodes[signal]
        inner = [arg for arg in before.args if nodes[arg].cell is Cell.CONSTANT]
        if before.cell not in (Cell.MIN, Cell.MAX) or before.stage != node.stage or len(inner) != 1:
            break
        other = _real(nodes[inner[0]])
        if not (other <= limit if before.cell is Cell.MAX else other >= limit):
            break
        (signal,) = (arg for arg in before.args if arg != inner[0])
    return (signal, node.args[1]) if fixed[0] else (node.args[0], signal)


def _real(constant: Node) -> float:
    return constant.parameter * 2.0**-constant.fmt.frac
