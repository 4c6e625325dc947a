"""What sums and differences have in common: a carry chain above wires."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from hwnorm.datapath.cells.base import CellDefinition, Netlist, Operation, Readers, VerilogCell
from hwnorm.datapath.cells.bits import ONE, ZERO, Bits, extended
from hwnorm.datapath.node import Cell, Node

_SUMS = (Cell.ADD, Cell.SUB)


class Sum(CellDefinition):
    """``a + b`` or ``a - b``, exact."""

    arity = 2
    #: Whether a zero as first argument leaves the second one, and the arguments may change places.
    commutes: ClassVar[bool]

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return max(fracs)

    @abstractmethod
    def fixed(self, args: Sequence[Node]) -> Node:
        """The argument below whose lowest place the result is the other one's bits."""

    def wires(self, node: Node, fracs: Sequence[int]) -> tuple[list[int], int]:
        """The places by which the arguments are shifted, and how many low bits of the result are wires.

        Below the lowest place of the coarser argument the sum is the finer one's bits. Written so, it stays a
        short carry chain of its own: synthesis melts it into no wide adder of many.
        """
        shifts = [node.fmt.frac - frac for frac in fracs]
        low = 0 if not self.commutes and shifts[0] > 0 else min(max(shifts), node.fmt.width - 1)
        return shifts, low

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        carried = max(1, node.fmt.width - max(0, node.fmt.frac - self.fixed(args).fmt.frac))
        constant = any(a.cell is Cell.CONSTANT for a in args)
        return [("constant_sum" if constant else self.cell.value, (carried,))]

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        shifts, low = self.wires(node, [net.nodes[a].fmt.frac for a in node.args])
        wires = extended(args[shifts.index(min(shifts))], 0, low) if low else []
        width = node.fmt.width - low
        a, b = (extended(arg, shift - low, width) for arg, shift in zip(args, shifts, strict=True))
        if self.commutes and ({*a} == {ZERO} or {*b} == {ZERO}):
            return wires + (b if {*a} == {ZERO} else a)
        net.operands[i] = a, b
        return wires + net.chain(i, node.stage, a, b)

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        if not read.net.operands[i]:
            return
        first, second = read.net.operands[i]
        if self.commutes and first == second:
            read.signal(first, node.stage)
            return
        columns = read.columns(i, first, second)
        low = 0
        while columns and (columns[0][1] == ZERO or (self.commutes and columns[0][0] == ZERO)):
            low += max(columns[0]) > ONE
            read.signal(columns.pop(0), node.stage)
        if low:
            yield "constant_low", (low,)
        read.signal([a for a, _ in columns], node.stage)
        for a, b in columns:
            straight = self.commutes and a == ZERO  # to the carry chain, through no lookup table
            (read.signal if straight else read.sum)([b], node.stage)
        both = sum(a > ONE and b > ONE for a, b in columns)
        constants = sum((a > ONE) != (b > ONE) for a, b in columns)
        ones = sum(sorted(column)[0] == ONE < max(column) for column in columns)
        if both:
            yield self.cell.value, (both,)
        if constants:
            yield "constant_sum", (constants,)
        if ones:
            yield "constant_one", (ones,)
        if _melts(read, i):
            yield "operand", (len(first),)

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        shifts, low = self.wires(cell.node, [fmt.frac for fmt in cell.formats])
        finer, width = cell.args[shifts.index(min(shifts))], cell.node.fmt.width - low
        return {
            "low": cell.bits(finer, 0, low) if low else None,
            "args": [
                cell.bits(arg, shift - low, width) for arg, shift in zip(cell.args, shifts, strict=True)
            ],
        }


def _melts(read: Readers, i: int) -> bool:
    """Whether synthesis makes one sum of this one and its reader's (Yosys' ``alumacc``).

    It does where the reader's carry chain takes the whole sum, and the sum's width cannot overflow.
    """
    net, reader = read.net, read.reader(i)
    if reader is None or net.nodes[reader].cell not in _SUMS:
        return False
    width = net.nodes[i].fmt.width
    if len(net.operands[i][0]) != width:
        return False
    chain = net.operands[reader]
    whole = [op for op in chain if {*net.of[i]} <= {*op}]
    needed = max(len({*op} - {ZERO}) for op in net.operands[i]) + 1
    return bool(whole) and (width >= needed or width == len(chain[0]))
