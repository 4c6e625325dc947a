"""A table of constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from hwnorm.datapath.cells.base import (
    Bounded,
    CellDefinition,
    Netlist,
    Operation,
    Range,
    Readers,
    VerilogCell,
)
from hwnorm.datapath.cells.bits import Bits, extended
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat


class Table(CellDefinition):
    """``table[bits of a]``: the bits from ``parameter`` up of ``code(a)``, unsigned."""

    cell = Cell.TABLE

    def evaluate(self, node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> Any:
        address = (args[0] >> node.parameter) & (len(node.table) - 1)
        return np.asarray(node.table, dtype=np.int64)[address]

    def frac(self, fracs: Sequence[int], parameter: int) -> int | None:
        return None

    def range(self, node: Node, args: Sequence[Bounded]) -> Range:
        return min(node.table), max(node.table)

    def steps(self, node: Node, args: Sequence[Node]) -> list[Operation]:
        return [("table", (address_bits(node),))] if len(node.table) > 1 else []

    def bits(self, net: Netlist, i: int, node: Node, args: list[Bits]) -> Bits:
        """Columns of the table; each is a constant, or logic of the address.

        A table is a module of its own, so that synthesis finds no more than this.
        """
        address = tuple(extended(args[0], -node.parameter, address_bits(node)))
        found = []
        for place, column in enumerate(columns(node.table, node.fmt.width)):
            if not any(column) or all(column):
                constant_sign = place == node.fmt.width - 1
                # The sign that all entries share is not driven by the module.
                found.append(int(column[0]) if constant_sign else net.new(node.stage, (), node.name, place))
            else:
                found.append(net.new(node.stage, address, node.name, place))
        return found

    def operations(self, read: Readers, i: int, node: Node, args: list[Bits]) -> Iterator[Operation]:
        """None: what a lookup takes depends on the entries (:mod:`hwnorm.cost.tables`)."""
        read.signal(args[0], node.stage)
        yield from ()

    def words(self, node: Node, args: Sequence[str], formats: Sequence[FixedFormat]) -> str:
        if len(node.table) == 1:
            return f"{node.table[0] * 2.0**-node.fmt.frac:g}"
        return f"one of {len(node.table)} entries, by {args[0]}"

    def verilog(self, cell: VerilogCell) -> dict[str, Any]:
        node = cell.node
        if len(node.table) == 1:
            return {"kind": "constant", "code": node.table[0]}
        # Its module does not drive a sign that all entries share.
        signs = {int(entry < 0) for entry in node.table}
        return {
            "table": node.table,
            "runs": runs(node.table),
            "address_width": address_bits(node),
            "args": [cell.bits(cell.args[0], -node.parameter, address_bits(node))],
            "instance": cell.take(f"u_{cell.name}"),
            "module": cell.module(),
            "sign": signs.pop() if len(signs) == 1 else None,
        }

    def hls(
        self, node: Node, name: str, formats: Sequence[FixedFormat], take: Callable[[str], str]
    ) -> dict[str, Any]:
        address = address_bits(node)
        return {
            "table": node.table,
            "rom": take(f"{name}_rom"),
            "type": smallest_type(min(node.table), max(node.table)),
            "high": node.parameter + address - 1,
            "address_width": address,
        }


def runs(table: Sequence[int]) -> list[tuple[int, int, int]]:
    """Entries that are the same as their neighbours: first address, the one beyond the last, entry."""
    found: list[tuple[int, int, int]] = []
    for entry, equal in groupby(table):
        first = found[-1][1] if found else 0
        found.append((first, first + len(list(equal)), entry))
    return found


def address_bits(node: Node) -> int:
    """The bits of a table's address."""
    return (len(node.table) - 1).bit_length()


def smallest_type(low: int, high: int) -> str:
    """The smallest integer of C++ that holds low..high."""
    for bits in (8, 16, 32, 64):
        if -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
            return f"int{bits}_t"
        if low >= 0 and high < 1 << bits:
            return f"uint{bits}_t"
    raise AssertionError("an entry has at most 62 bits")


@lru_cache(maxsize=65536)
def columns(table: tuple[int, ...], width: int) -> np.ndarray:
    """The bits of a table's entries, (width, entries) of 0 and 1, the lowest bit first."""
    entries = np.asarray(table, dtype=np.int64)
    return ((entries[None, :] >> np.arange(width)[:, None]) & 1).astype(np.uint8)
