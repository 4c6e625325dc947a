"""Units as datapaths: the functions' own cells behind one another's choice, or one table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwnorm.cost.cost import delays
from hwnorm.datapath.ir import Cell, Datapath, Node
from hwnorm.fixed import FixedFormat, Overflow
from hwnorm.lowering.schedule import schedule
from hwnorm.share.functions import Functions
from hwnorm.share.tables import Layout
from hwnorm.targets.target import Target


def multiplexed(given: Functions, target: Target, clock_mhz: float) -> Datapath:
    """Every function's cells, and a choice of their results by the select.

    Raises:
        InputError: the clock is too fast for a cell.
    """
    nodes = _Nodes(given)
    results = []
    for number, function in enumerate(given.functions):
        placed: list[int] = []
        names: dict[str, str] = {}
        for node in function.nodes:
            if node.cell is Cell.INPUT:
                placed.append(nodes.code(number))
            else:
                said = "f(x)" if node.purpose == function.expression else node.purpose_with(names)
                moved = replace(
                    node,
                    args=tuple(placed[arg] for arg in node.args),
                    name=f"f{number}_{node.name}",
                    stage=0,
                    purpose=said.replace("f(x)", f"f{number}(x)"),
                )
                placed.append(nodes.take(moved))
            names[node.name] = f"{{{nodes.nodes[placed[-1]].name}}}"
        results.append(nodes.plain(placed[-1], f"y{number}", f"y of function {number}"))
    return nodes.datapath(nodes.chosen(results, "y"), target, clock_mhz)


def in_one_table(given: Functions, layout: Layout, target: Target, clock_mhz: float) -> Datapath:
    """Each function's place in a table of all functions, a choice of them by the select, and that table.

    Raises:
        InputError: the clock is too fast for a cell.
    """
    nodes = _Nodes(given)
    places = []
    for number, (table, base) in enumerate(zip(layout.tables, layout.bases, strict=True)):
        name, part, bits = f"place{number}", f"place in the table of function {number}", table.bits
        code = nodes.plain(nodes.code(number), f"code{number}", f"code of function {number}")
        within = FixedFormat(bits, -table.drop)
        saturated = nodes.cell(Cell.RESIZE, (code,), within, name, part, overflow="sat")
        low = nodes.plain(saturated, name, part)
        place = nodes.cell(Cell.LOW_BITS, (low,), FixedFormat(bits + 1, 0), name, part, parameter=bits)
        if base:
            # A multiple of the table's size, written as such: base and place share no bit.
            above, part = base >> bits, f"address of function {number}"
            fixed = FixedFormat(above.bit_length() + 1, -bits)
            constant = nodes.cell(Cell.CONSTANT, (), fixed, f"base{number}", part, parameter=above)
            whole = FixedFormat(max(base.bit_length(), bits) + 1, 0)
            place = nodes.cell(Cell.ADD, (place, constant), whole, f"address{number}", part)
        places.append(place)
    address = nodes.chosen(places, "address")
    words = tuple(layout.words.tolist())
    entries = FixedFormat.holding(min(words), max(words), 0)
    entry = nodes.cell(Cell.TABLE, (address,), entries, "entry", "the tables of all functions", table=words)
    return nodes.datapath(entry, target, clock_mhz)


class _Nodes:
    """Nodes of a unit; equal ones are there once."""

    def __init__(self, given: Functions) -> None:
        self.given = given
        self.nodes: list[Node] = []
        self.known: dict[Node, int] = {}
        self.x = self.cell(Cell.INPUT, (), given.input, "x", "x")

    def take(self, node: Node) -> int:
        """The place of a node, or of one that differs in its name alone."""
        key = replace(node, name="", part="", purpose="")
        if key not in self.known:
            self.known[key] = len(self.nodes)
            self.nodes.append(node)
        return self.known[key]

    def cell(
        self,
        cell: Cell,
        args: tuple[int, ...],
        fmt: FixedFormat,
        name: str,
        part: str,
        parameter: int = 0,
        table: tuple[int, ...] = (),
        overflow: Overflow = "wrap",
    ) -> int:
        node = Node(cell, args, fmt, name, part, parameter, table, overflow=overflow, purpose=part)
        return self.take(node)

    def code(self, number: int) -> int:
        """A function's own code, in its input format."""
        fmt = self.given.functions[number].input
        low = self.x
        if fmt.width < self.given.input.width:
            part = f"the low {fmt.width} bits of x"
            low = self.cell(Cell.RESIZE, (self.x,), FixedFormat(fmt.width, 0), f"x{fmt.width}", part)
        if not fmt.frac:
            return low
        return self.cell(Cell.SHIFT, (low,), fmt, f"x_{fmt}", "the code of a function", parameter=-fmt.frac)

    def plain(self, at: int, name: str, part: str) -> int:
        """The same code without a binary point."""
        fmt = self.nodes[at].fmt
        if not fmt.frac:
            return at
        return self.cell(Cell.SHIFT, (at,), FixedFormat(fmt.width, 0), name, part, parameter=fmt.frac)

    def chosen(self, given: Sequence[int], name: str, bit: int | None = None, first: int = 0) -> int:
        """One of the nodes by the select, from bit ``bit`` down; there are at most as many as it can name."""
        if len(given) == 1:
            return given[0]
        bit = self.given.select_bits - 1 if bit is None else bit
        half = 1 << bit
        if len(given) <= half:
            return self.chosen(given, name, bit - 1, first)
        low = self.chosen(given[:half], name, bit - 1, first)
        high = self.chosen(given[half:], name, bit - 1, first + half)
        # The sign of so many bits of x is this bit of the select.
        width = self.given.code_bits + bit + 1
        sign = self.x
        if width < self.given.input.width:
            part = f"bit {bit} of the select"
            sign = self.cell(Cell.RESIZE, (self.x,), FixedFormat(width, 0), f"select{bit}", part)
        fmt = FixedFormat(max(self.nodes[low].fmt.width, self.nodes[high].fmt.width), 0)
        last = first + len(given) - 1
        part = f"{name} of functions {first} to {last}"
        return self.cell(Cell.SELECT, (sign, low, high), fmt, f"{name}_{first}_to_{last}", part)

    def datapath(self, result: int, target: Target, clock_mhz: float) -> Datapath:
        """The unit whose result is that node, cut into stages for a clock."""
        output = self.given.output
        said = "y of the function selected"
        self.nodes.append(Node(Cell.RESIZE, (result,), output, "result", said, purpose=said))
        nodes, latency = schedule(self.nodes, delays(self.nodes, target), clock_mhz, target)
        return Datapath(
            self.given.expression,
            self.given.input,
            output,
            nodes,
            latency,
            target.name,
            clock_mhz,
            self.given.certificate,
        )
