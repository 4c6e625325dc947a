"""What the Verilog template needs to know about each cell: operands as bit ranges, stage by stage.

Every operand is written with its full width (sign bits, a slice, zeros), so that no reader has to
extend or cut anything by itself; bits that nobody reads are gathered for the ``unused`` wire.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hwnorm.datapath.ir import Cell, Datapath, Node, compared, simplest_limit
from hwnorm.emit.names import Names, comment_of
from hwnorm.expression import brief
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
        self.signals = ["x" if n.cell is Cell.INPUT else self.names.take(n.name) for n in datapath.nodes]
        self.widths: dict[str, int] = {"x": datapath.input.width}
        self.used: dict[str, set[int]] = {"x": set()}
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
        datapath, node, name = self.datapath, self.datapath.nodes[index], self.signals[index]
        width = node.fmt.width
        args = [self.at(i, node.stage) for i in node.args]
        formats = [datapath.nodes[i].fmt for i in node.args]
        line: dict[str, Any] = {
            "kind": node.cell.value,
            "name": self.declare(name, width),
            "width": width,
            "part": brief(node.part),
            "comment": comment_of(node),
        }
        match node.cell:
            case Cell.CONSTANT:
                line["code"] = node.parameter
            case Cell.ADD | Cell.SUB:
                line |= self.sum(node, args, formats)
            case Cell.MIN | Cell.MAX:
                line |= self.limit(index, name)
            case Cell.MUL:
                # Whole signed operands, as DSP inference likes them, unless the product is cut.
                cut = any(self.widths[a] > width for a in args)
                line["args"] = [self.bits(a, 0, width if cut else self.widths[a]) for a in args]
            case Cell.NEG | Cell.SHIFT:
                line["args"] = [self.bits(args[0], 0, width)]
            case Cell.ABS | Cell.NEGATE_IF | Cell.COMPLEMENT_IF:
                line["args"] = [self.bits(args[0], 0, width)]
                line["sign"] = self.bits(args[-1], 1 - self.widths[args[-1]], 1)
            case Cell.SELECT:
                frac = max(f.frac for f in formats[1:])
                line["sign"] = self.bits(args[0], 1 - self.widths[args[0]], 1)
                line["args"] = [
                    self.bits(a, frac - f.frac, width) for a, f in zip(args[1:], formats[1:], strict=True)
                ]
            case Cell.GATE:
                line["args"] = [self.bits(args[0], 0, width)]
                line["gate"] = self.bits(args[1], -node.parameter, 1)
            case Cell.RESIZE:
                line |= self.resize(node, name, args[0], formats[0].frac - node.fmt.frac)
            case Cell.TABLE:
                if len(node.table) == 1:
                    return line | {"kind": "constant", "code": node.table[0]}
                address = (len(node.table) - 1).bit_length()
                line["table"] = node.table
                line["address_width"] = address
                line["args"] = [self.bits(args[0], -node.parameter, address)]
                line["instance"] = self.names.take(f"u_{name}")
                line["module"] = f"{self.module}_{name}"
                # Its module does not drive a sign that all entries share.
                signs = {int(entry < 0) for entry in node.table}
                line["sign"] = signs.pop() if len(signs) == 1 else None
            case Cell.FLOAT_CODE:
                line |= self.float_code(node, name, args[0])
            case Cell.LOW_BITS:
                low = min(node.parameter, width)
                if low == 0:
                    return line | {"kind": "constant", "code": 0}
                line["zeros"] = width - low
                line["args"] = [self.bits(args[0], 0, low)]
            case _:
                raise AssertionError(node.cell)
        return line

    def sum(self, node: Node, args: list[str], formats: list[FixedFormat]) -> dict[str, Any]:
        """A sum or difference; below the lowest place of the coarser argument it is the finer one's bits.

        Said so, it stays a short carry chain of its own: synthesis melts it into no wide adder of many.
        """
        shifts = [node.fmt.frac - f.frac for f in formats]
        low = 0 if node.cell is Cell.SUB and shifts[0] > 0 else min(max(shifts), node.fmt.width - 1)
        finer = args[shifts.index(min(shifts))]
        return {
            "low": self.bits(finer, 0, low) if low else None,
            "args": [self.bits(a, s - low, node.fmt.width - low) for a, s in zip(args, shifts, strict=True)],
        }

    def limit(self, index: int, name: str) -> dict[str, Any]:
        """The smaller or the greater of two; a constant is compared in no more bits than decide."""
        nodes, node = self.datapath.nodes, self.datapath.nodes[index]

        def operands(indices: tuple[int, ...]) -> tuple[list[str], list[int], int]:
            """Names, the shifts that align them, and the bits that hold both."""
            formats = [nodes[i].fmt for i in indices]
            shifts = [max(f.frac for f in formats) - f.frac for f in formats]
            both = max(f.width + s for f, s in zip(formats, shifts, strict=True))
            return [self.at(i, node.stage) for i in indices], shifts, both

        args, shifts, _ = operands(node.args)
        line: dict[str, Any] = {
            "args": [self.bits(a, s, node.fmt.width) for a, s in zip(args, shifts, strict=True)],
            "first": self.names.take(f"{name}_first"),
            "relation": "<" if node.cell is Cell.MIN else ">",
            "limit": None,
        }
        pair = compared(nodes, index)
        args, shifts, both = operands(pair)
        cells = [nodes[i].cell for i in pair]
        if Cell.CONSTANT not in cells:
            line["compared"] = [self.bits(a, s, both) for a, s in zip(args, shifts, strict=True)]
            return line
        fixed = cells.index(Cell.CONSTANT)
        limit, zeros = simplest_limit(nodes[pair[fixed]].parameter << shifts[fixed])
        low = min(zeros, both - 1)
        line["limit"], line["limit_width"] = limit >> low, both - low
        line["compared"] = [self.bits(args[1 - fixed], shifts[1 - fixed] - low, both - low)]
        # "below the limit" chooses the signal of a minimum and the constant of a maximum.
        if (node.cell is Cell.MIN) == (fixed == 0):
            line["args"].reverse()
        return line

    def resize(self, node: Node, name: str, source: str, drop: int) -> dict[str, Any]:
        """Floor or round half up, then saturate or wrap, as bits.

        ``floor(v / 2**drop + 1/2)`` is ``floor(v / 2**drop)`` plus the highest dropped bit.
        """
        width = node.fmt.width
        rounds = node.rounding == "rnd" and drop > 0
        # Wide enough for every value after rounding.
        exact = max(self.widths[source] - drop, 1) + rounds
        saturates = node.overflow == "sat" and exact > width
        kept = exact if saturates else width
        return {
            "args": [self.bits(source, -drop, kept)],
            "half": self.bits(source, 1 - drop, 1) if rounds else None,
            "wide": self.wide(name, exact) if saturates else None,
            "fits": self.names.take(f"{name}_fits") if saturates else None,
            "wide_format": f"s{exact}f{node.fmt.frac}",
            "kept": kept,
        }

    def float_code(self, node: Node, name: str, source: str) -> dict[str, Any]:
        """Shift the leading one to the top, by halves: each step tests as many bits as it may shift."""
        bits = node.parameter

        def declared(role: str, width: int) -> str:
            signal = self.declare(self.names.take(f"{name}_{role}"), width)
            self.used[signal].update(range(width))
            return signal

        start = declared("argument", bits)
        steps, before = [], start
        for place in reversed(range((bits - 1).bit_length())):
            step = {"places": 1 << place, "from": before, "zeros": declared(f"zeros{1 << place}", 1)}
            step["name"] = before = declared(f"shifted{1 << place}", bits)
            steps.append(step)
        return {
            "args": [self.bits(source, 0, bits)],
            "bits": bits,
            "start": start,
            "steps": steps,
            "exponent": declared("exponent", bits.bit_length()),
            "exponent_bits": bits.bit_length(),
        }

    def wide(self, name: str, exact: int) -> Operand:
        """The helper signal of a saturating resize, all of whose bits are looked at."""
        helper = self.declare(self.names.take(f"{name}_wide"), exact)
        return self.bits(helper, 0, exact)

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
                registers.append(Register(delayed, source, node.fmt.width, comment_of(node)))
        return registers

    def context(self, stages: list[Stage], constants: list[dict[str, Any]], result: str) -> dict[str, Any]:
        """What the templates of both modules name; each table becomes a module of its own."""
        self.used[result].update(range(self.widths[result]))
        unread = [part for name in self.used for part in _unread(name, self.widths[name], self.used[name])]
        tables = [cell for stage in stages for cell in stage.cells if cell["kind"] == "table"]
        return {
            "constants": constants,
            "stages": stages,
            "tables": tables,
            "result": result,
            "unused": unread,
        }


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
