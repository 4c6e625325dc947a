"""What the Verilog template needs to know about each cell: operands as bit ranges, stage by stage.

What a cell reads is said by its definition (:mod:`hwnorm.datapath.cells`), how it is written by the macro of
its name. Every operand is written with its full width (sign bits, a slice, zeros), so that no reader has to
extend or cut anything by itself; bits that nobody reads are gathered for the ``unused`` wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.ir import Cell, Datapath, Node
from hwnorm.emit.names import Comments, Names
from hwnorm.fixed import FixedFormat

#: Ports and wires of the core and of the stage around it; no signal may have these names.
PORTS = ("clk", "ce", "x", "y", "unused", "aclk", "aresetn", "address")


@dataclass(frozen=True)
class Operand:
    """``{signs copies of name[width-1], name[hi:lo], zeros}``: some bits of a signal."""

    name: str
    width: int
    hi: int
    lo: int
    signs: int
    zeros: int
    #: Nothing but the zeros are asked for.
    empty: bool = False

    @property
    def whole(self) -> bool:
        return self.hi == self.width - 1 and self.lo == 0


@dataclass(frozen=True)
class Register:
    """A pipeline register: ``name`` is what ``source`` was one stage earlier."""

    name: str
    source: str
    width: int
    comment: str


@dataclass(frozen=True)
class Stage:
    """What is computed in one clock cycle, and the registers at its end."""

    number: int
    cells: list[dict[str, Any]]
    registers: list[Register]


class _Core:
    """Walks a datapath and collects the lines of its core."""

    def __init__(self, datapath: Datapath, top: str, module: str) -> None:
        self.datapath = datapath
        self.module = module
        self.names = Names((*PORTS, top, f"{top}_core", f"{top}_comb"))
        #: The signal of x: the port, or of one that is unsigned what it is with a sign.
        self.x = "x" if datapath.input.signed else self.names.take("x_signed")
        self.signals = [self.x if n.cell is Cell.INPUT else self.names.take(n.name) for n in datapath.nodes]
        self.comments = Comments(datapath, self.signals)
        self.widths: dict[str, int] = {self.x: datapath.input.inside.width}
        self.used: dict[str, set[int]] = {self.x: set()}
        # (node, stage) -> the name under which the node's signal is known in that stage.
        self.carried: dict[tuple[int, int], str] = {}

    def declare(self, name: str, width: int) -> str:
        self.widths[name] = width
        self.used.setdefault(name, set())
        return name

    def at(self, index: int, stage: int) -> str:
        """The name of a node's signal in ``stage``."""
        return self.carried.get((index, stage), self.signals[index])

    def bits(self, name: str, shift: int, width: int) -> Operand:
        """The lowest ``width`` bits of the signal times 2**shift (floor for a negative shift)."""
        top = self.widths[name] - 1
        zeros = min(max(shift, 0), width)
        lo = min(max(-shift, 0), top)
        hi = max(min(lo + width - zeros - 1, top), lo)
        taken = 0 if zeros == width else hi - lo + 1
        if -shift > top:  # nothing but the sign is left
            taken = 1
        self.used[name].update(range(lo, lo + taken))
        signs = width - zeros - taken
        if signs > 0:
            self.used[name].add(top)
        return Operand(name, top + 1, hi, lo, signs, zeros, taken == 0)

    def cell(self, index: int) -> dict[str, Any]:
        """The context of one cell's macro."""
        node, name = self.datapath.nodes[index], self.signals[index]
        self.declare(name, node.fmt.width)
        written = _Written(self, index)
        return {
            "kind": node.cell.value,
            "name": name,
            "width": node.fmt.width,
            "comment": self.comments.of(index, written.args),
        } | CELLS[node.cell].verilog(written)

    def constants(self) -> list[dict[str, Any]]:
        """The constants, which no register delays."""
        nodes = self.datapath.nodes
        return [self.cell(i) for i, n in enumerate(nodes) if n.cell is Cell.CONSTANT]

    def cells(self, stage: int) -> list[dict[str, Any]]:
        """What is computed in a stage."""
        return [
            self.cell(i)
            for i, node in enumerate(self.datapath.nodes)
            if node.stage == stage and node.cell not in (Cell.INPUT, Cell.CONSTANT)
        ]

    def registers(self, stage: int) -> list[Register]:
        """The registers at the end of a stage; the stages before it come first."""
        registers = []
        for i, (node, lifetime) in enumerate(
            zip(self.datapath.nodes, self.datapath.lifetimes(), strict=True)
        ):
            if node.stage <= stage < node.stage + lifetime:
                source = self.at(i, stage)
                delayed = self.declare(self.names.take(f"{self.signals[i]}_r{stage + 1}"), node.fmt.width)
                self.carried[i, stage + 1] = delayed
                self.used[source].update(range(node.fmt.width))
                comment = f"holds {self.signals[i]}, {node.fmt}"
                registers.append(Register(delayed, source, node.fmt.width, comment))
        return registers

    def context(self, stages: list[Stage], constants: list[dict[str, Any]], result: str) -> dict[str, Any]:
        """What the templates of both modules name; each table becomes a module of its own."""
        output = self.datapath.output
        self.used[result].update(range(output.width))
        unread = [part for name in self.used for part in _unread(name, self.widths[name], self.used[name])]
        tables = [cell for stage in stages for cell in stage.cells if cell["kind"] == "table"]
        return {
            "constants": constants,
            "stages": stages,
            "tables": tables,
            "x": self.x,
            "result": result if output.signed else f"{result}[{output.width - 1}:0]",
            "unused": unread,
        }


@dataclass(frozen=True)
class _Written:
    """One cell of a core: a :class:`hwnorm.datapath.cells.base.VerilogCell`, which says what is what."""

    core: _Core
    index: int

    @property
    def nodes(self) -> Sequence[Node]:
        return self.core.datapath.nodes

    @property
    def node(self) -> Node:
        return self.nodes[self.index]

    @property
    def name(self) -> str:
        return self.core.signals[self.index]

    @property
    def args(self) -> list[str]:
        return [self.at(i) for i in self.node.args]

    @property
    def formats(self) -> list[FixedFormat]:
        return [self.nodes[i].fmt for i in self.node.args]

    def bits(self, name: str, shift: int, width: int) -> Operand:
        return self.core.bits(name, shift, width)

    def sign(self, name: str) -> Operand:
        return self.core.bits(name, 1 - self.core.widths[name], 1)

    def at(self, index: int) -> str:
        return self.core.at(index, self.node.stage)

    def take(self, wish: str) -> str:
        return self.core.names.take(wish)

    def helper(self, wish: str, width: int) -> str:
        name = self.core.declare(self.take(wish), width)
        self.core.used[name].update(range(width))
        return name

    def module(self) -> str:
        return f"{self.core.module}_{self.name}"


def core_context(datapath: Datapath, top: str) -> dict[str, Any]:
    """Everything that ``verilog/core.v.j2`` says about the pipelined core.

    Raises:
        ValueError: the datapath has no stage; a kernel's result is registered.
    """
    if datapath.latency < 1:
        raise ValueError(f"{top}: latency {datapath.latency}; a kernel's result is registered: at least 1")
    core = _Core(datapath, top, f"{top}_core")
    constants = core.constants()
    stages = [Stage(n, core.cells(n), core.registers(n)) for n in range(datapath.latency)]
    return core.context(stages, constants, core.at(len(datapath.nodes) - 1, datapath.latency))


def comb_context(datapath: Datapath, top: str) -> dict[str, Any]:
    """The same for ``verilog/comb.v.j2``: every cell in one stage that no register ends."""
    flat = replace(datapath, nodes=tuple(replace(node, stage=0) for node in datapath.nodes))
    core = _Core(flat, top, f"{top}_comb")
    constants = core.constants()
    return core.context([Stage(0, core.cells(0), [])], constants, core.signals[-1])


def _unread(name: str, width: int, used: set[int]) -> list[Operand]:
    """The maximal runs of bits that are not in ``used``."""
    runs, start = [], None
    for bit in range(width + 1):
        free = bit < width and bit not in used
        if free and start is None:
            start = bit
        elif not free and start is not None:
            runs.append(Operand(name, width, bit - 1, start, 0, 0))
            start = None
    return runs
