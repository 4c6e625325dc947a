"""What synthesis sees of a datapath: operations at the widths that are really built, and register bits.

Every signal is followed bit by bit. Shifts, slices and sign extensions are wires; constant bits vanish, equal
ones are built once, bits that nobody reads are not built at all. Synthesis does the same, so that
register bits can be counted exactly, and operations get the widths that they have in the netlist.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwnorm.datapath.ir import Cell, Node, simplest_limit

#: Bits that are constant; every other bit of a datapath has a number of its own from 2 on.
ZERO, ONE = 0, 1
_WIRING = (Cell.INPUT, Cell.CONSTANT, Cell.SHIFT, Cell.LOW_BITS)
_SUMS = (Cell.ADD, Cell.SUB)
_LIMITS = (Cell.MIN, Cell.MAX)

#: An operation and its widths in bits; ``hwnorm.targets.target.KINDS`` says what the widths mean.
Operation = tuple[str, tuple[int, ...]]
Bits = list[int]


@dataclass(frozen=True, slots=True)
class Table:
    """The distinct columns of a table that are read, packed: what decides how many LUTs it takes."""

    address_bits: int
    columns: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """Operations of a scheduled datapath, its tables, and how long each bit lives in registers.

    ``registers`` holds pairs (n, bits): so many bits are carried through n stages without being read between.
    ``inputs`` is the number of bits of x that are read at all.
    """

    operations: tuple[tuple[Operation, int], ...]
    tables: tuple[Table, ...]
    registers: tuple[tuple[int, int], ...]
    inputs: int

    @property
    def register_bits(self) -> int:
        """Flip-flops of the pipeline, where none become shift registers."""
        return sum(length * count for length, count in self.registers)


def structure(nodes: Sequence[Node], latency: int) -> Structure:
    """The structure of scheduled nodes. ``latency`` is the number of stages."""
    bits = _Bits(nodes)
    reads = bits.reads(latency)
    operations = Counter(op for i in range(len(nodes)) for op in bits.operations(i, reads))
    tables = tuple(table for i in range(len(nodes)) if (table := bits.table(i, reads)) is not None)
    registers: Counter[int] = Counter()
    for bit, stages in reads.items():
        before = bits.stage[bit]
        for stage in sorted(stages):
            if stage > before:
                registers[stage - before] += 1
                before = stage
    inputs = sum(
        bit in reads for i, node in enumerate(nodes) if node.cell is Cell.INPUT for bit in bits.of[i]
    )
    return Structure(tuple(sorted(operations.items())), tables, tuple(sorted(registers.items())), inputs)


def extended(bits: Bits, shift: int, width: int) -> Bits:
    """The lowest ``width`` bits of a signal times 2**shift, its sign bit repeated as needed."""
    placed = [ZERO] * shift + bits if shift >= 0 else bits[min(-shift, len(bits) - 1) :]
    return (placed + [placed[-1]] * (width - len(placed)))[:width]


class _Bits:
    """Numbers for the bits of every signal; equal logic gets equal numbers."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.stage: list[int] = [0, 0]
        self.sources: list[tuple[int, ...]] = [(), ()]
        #: The node that a bit was made for first.
        self.maker: list[int] = [-1, -1]
        self._known: dict[tuple[object, ...], int] = {}
        #: For a sum, a comparison or a resize: the operands that its carry chain or its logic has.
        self.operands: list[tuple[Bits, ...]] = []
        self.readers: list[list[int]] = [[] for _ in nodes]
        self.of: list[Bits] = []
        for i, node in enumerate(nodes):
            for arg in node.args:
                self.readers[arg].append(i)
            self.operands.append(())
            self.of.append(self._bits(i, node))

    def _new(self, stage: int, sources: Iterable[int], *key: object) -> int:
        if key not in self._known:
            self._known[key] = len(self.stage)
            self.stage.append(stage)
            self.sources.append(tuple({bit for bit in sources if bit > ONE}))
            self.maker.append(len(self.of))
        return self._known[key]

    def _chain(self, i: int, stage: int, *operands: Bits) -> Bits:
        """Bits of a carry chain: each depends on all that are not above it."""
        below: set[int] = set()
        found = []
        for place, column in enumerate(zip(*operands, strict=True)):
            below.update(column)
            found.append(self._new(stage, below, i, place))
        return found

    def _bits(self, i: int, node: Node) -> Bits:
        width, stage = node.fmt.width, node.stage
        args = [self.of[a] for a in node.args]
        fracs = [self.nodes[a].fmt.frac for a in node.args]
        match node.cell:
            case Cell.INPUT:
                return [self._new(0, (), i, place) for place in range(width)]
            case Cell.CONSTANT:
                return [(node.parameter >> place) & 1 for place in range(width)]
            case Cell.SHIFT:
                return extended(args[0], 0, width)
            case Cell.LOW_BITS:
                low = min(node.parameter, width)
                return extended(args[0], 0, low) + [ZERO] * (width - low)
            case Cell.ADD | Cell.SUB:
                return self._sum(i, node, args, fracs)
            case Cell.MIN | Cell.MAX:
                shifts = [max(fracs) - frac for frac in fracs]
                wide = max(len(arg) + shift for arg, shift in zip(args, shifts, strict=True))
                compared = tuple(extended(arg, shift, wide) for arg, shift in zip(args, shifts, strict=True))
                self.operands[i] = compared
                first = self._new(stage, {bit for arg in compared for bit in arg}, i, "first")
                a, b = (extended(arg, shift, width) for arg, shift in zip(args, shifts, strict=True))
                return [self._chosen(stage, first, p, q) for p, q in zip(a, b, strict=True)]
            case Cell.SELECT:
                shifts = [max(fracs[1:]) - frac for frac in fracs[1:]]
                b, c = (extended(arg, shift, width) for arg, shift in zip(args[1:], shifts, strict=True))
                return [self._chosen(stage, args[0][-1], q, p) for p, q in zip(b, c, strict=True)]
            case Cell.GATE:
                gate = extended(args[1], -node.parameter, 1)[0]
                return [self._and(stage, bit, gate) for bit in extended(args[0], 0, width)]
            case Cell.COMPLEMENT_IF:
                sign = args[1][-1]
                return [self._xor(stage, bit, sign) for bit in extended(args[0], 0, width)]
            case Cell.NEG | Cell.ABS | Cell.NEGATE_IF:
                sign = ONE if node.cell is Cell.NEG else args[-1][-1]
                return self._chain(i, stage, extended(args[0], 0, width), [sign] * width)
            case Cell.RESIZE:
                return self._resize(i, node, args[0], fracs[0] - node.fmt.frac)
            case Cell.TABLE:
                address = extended(args[0], -node.parameter, (len(node.table) - 1).bit_length())
                return self._entries(node, tuple(address))
            case _:  # MUL, FLOAT_CODE: every bit of everything
                return [
                    self._new(stage, {bit for arg in args for bit in arg}, i, place) for place in range(width)
                ]

    def _and(self, stage: int, a: int, b: int) -> int:
        if ZERO in (a, b):
            return ZERO
        if a == b or b == ONE:
            return a
        return b if a == ONE else self._new(stage, (a, b), "and", min(a, b), max(a, b))

    def _xor(self, stage: int, a: int, b: int) -> int:
        if a == b:
            return ZERO
        if ZERO in (a, b):
            return a + b
        return self._new(stage, (a, b), "xor", min(a, b), max(a, b))

    def _chosen(self, stage: int, choice: int, a: int, b: int) -> int:
        return a if a == b else self._new(stage, (choice, a, b), "mux", choice, a, b)

    def _sum(self, i: int, node: Node, args: list[Bits], fracs: list[int]) -> Bits:
        """As ``hwnorm.emit.verilog`` writes it: the lowest bits that one argument alone has are wires."""
        width = node.fmt.width
        shifts = [node.fmt.frac - frac for frac in fracs]
        low = 0 if node.cell is Cell.SUB and shifts[0] > 0 else min(max(shifts), width - 1)
        wires = extended(args[shifts.index(min(shifts))], 0, low) if low else []
        a, b = (extended(arg, shift - low, width - low) for arg, shift in zip(args, shifts, strict=True))
        if node.cell is Cell.ADD and ({*a} == {ZERO} or {*b} == {ZERO}):
            return wires + (b if {*a} == {ZERO} else a)
        self.operands[i] = a, b
        return wires + self._chain(i, node.stage, a, b)

    def _resize(self, i: int, node: Node, arg: Bits, drop: int) -> Bits:
        width = node.fmt.width
        rounds = node.rounding == "rnd" and drop > 0
        exact = max(len(arg) - drop, 1) + rounds
        saturates = node.overflow == "sat" and exact > width
        value = extended(arg, -drop, exact if saturates else width)
        half = extended(arg, 1 - drop, 1)[0] if rounds else ZERO
        if half != ZERO:
            value = self._chain(i, node.stage, value, [half] * len(value))
            self.operands[i] = (value,)
        if saturates:
            fits = self._new(node.stage, value[width - 1 :], i, "fits")
            sign = value[-1]
            value = [self._chosen(node.stage, fits, bit, sign) for bit in value[: width - 1]] + [sign]
        return value

    def _entries(self, node: Node, address: tuple[int, ...]) -> Bits:
        """Columns of a table; each is a constant, an address bit, or logic of the address.

        A table is a module of its own, so that synthesis finds no more than this.
        """
        found = []
        for place, column in enumerate(columns(node.table, node.fmt.width)):
            if not any(column) or all(column):
                constant_sign = place == node.fmt.width - 1
                # The sign that all entries share is not driven by the module.
                found.append(int(column[0]) if constant_sign else self._new(node.stage, (), node.name, place))
            else:
                found.append(self._new(node.stage, address, node.name, place))
        return found

    # --- what is read, and the operations behind it ----------------------------------------------------

    def reads(self, latency: int) -> dict[int, set[int]]:
        """The stages in which each bit is read; a bit that nobody reads is missing."""
        found: defaultdict[int, set[int]] = defaultdict(set)
        for bit in self.of[-1]:
            if bit > ONE:
                found[bit].add(latency)
        for bit in range(len(self.stage) - 1, ONE, -1):  # sources have lower numbers
            if bit in found:
                for source in self.sources[bit]:
                    found[source].add(self.stage[bit])
        return dict(found)

    def table(self, i: int, reads: dict[int, set[int]]) -> Table | None:
        """The table of a node, without columns that nobody reads; None if it has none."""
        node = self.nodes[i]
        if len(node.table) < 2:
            return None
        read = [
            column.tobytes()
            for bit, column in zip(self.of[i], columns(node.table, node.fmt.width), strict=True)
            if bit in reads
        ]
        return Table((len(node.table) - 1).bit_length(), tuple(read))

    def reader(self, i: int) -> int | None:
        """The one node of the same stage that reads a signal, through wires; None if there are others."""
        stage = self.nodes[i].stage
        while len(self.readers[i]) == 1:
            i = self.readers[i][0]
            if self.nodes[i].stage != stage:
                return None
            if not self.wires(i):
                return i
        return None

    def wires(self, i: int) -> bool:
        """Whether a node only picks bits of its argument."""
        made = any(self.maker[bit] == i for bit in self.of[i])
        return self.nodes[i].cell in (Cell.SHIFT, Cell.LOW_BITS, Cell.RESIZE) and not made

    def operations(self, i: int, reads: dict[int, set[int]]) -> list[Operation]:
        """What a node asks of synthesis, by kinds of operations and widths."""
        node = self.nodes[i]
        if node.cell in _WIRING or node.cell is Cell.TABLE:
            return []
        built = len({bit for bit in self.of[i] if bit in reads and self.maker[bit] == i})
        if not built:
            return []
        reader = self.reader(i)
        into = self.nodes[reader].cell if reader is not None else None
        match node.cell:
            case Cell.ADD | Cell.SUB:
                return self._sum_operations(i, reader)
            case Cell.GATE:
                return [("gate_sum" if into in _SUMS else "gate", (built,))]
            case Cell.COMPLEMENT_IF:
                return [("complement_sum" if into in _SUMS else "complement", (built,))]
            case Cell.MIN | Cell.MAX:
                return self._limit_operations(i, built, reader)
            case Cell.SELECT:
                return [("mux_last" if reader is None else "mux", (built,))]
            case Cell.MUL:
                a, b = sorted(len({*self.of[arg]} - {ZERO}) for arg in node.args)
                return [("square", (a,)) if node.args[0] == node.args[1] else ("mul", (a, b))]
            case Cell.FLOAT_CODE:
                return [("float", (node.parameter,))]
            case Cell.RESIZE:
                return self._resize_operations(i, reader)
            case _:
                return [("negate" if node.cell is Cell.NEG else "magnitude", (node.fmt.width,))]

    def _sum_operations(self, i: int, reader: int | None) -> list[Operation]:
        if not self.operands[i]:
            return []
        node, (a, b) = self.nodes[i], self.operands[i]
        if node.cell is Cell.ADD and a == b:
            return []
        kind = "add" if node.cell is Cell.ADD else "sub"
        pairs = len({(p, q) for p, q in zip(a, b, strict=True) if p > ONE and q > ONE})
        constants = sum((p > ONE) != (q > ONE) for p, q in zip(a, b, strict=True))
        found: list[Operation] = [(kind, (pairs,))] if pairs else []
        if constants:
            found.append(("constant_sum", (constants,)))
        ones = sum(sorted((p, q))[0] == ONE < max(p, q) for p, q in zip(a, b, strict=True))
        if ones:
            found.append(("constant_one", (ones,)))
        if self._melts(i, reader):
            found.append(("operand", (len(a),)))
        return found

    def _melts(self, i: int, reader: int | None) -> bool:
        """Whether synthesis makes one sum of this one and its reader's (Yosys' ``alumacc``).

        It does where the reader's carry chain takes the whole sum, and the sum's width cannot overflow.
        """
        node = self.nodes[i]
        if (
            reader is None
            or self.nodes[reader].cell not in _SUMS
            or len(self.operands[i][0]) != node.fmt.width
        ):
            return False
        chain = self.operands[reader]
        whole = [op for op in chain if {*self.of[i]} <= {*op}]
        needed = max(len({*op} - {ZERO}) for op in self.operands[i]) + 1
        return bool(whole) and (node.fmt.width >= needed or node.fmt.width == len(chain[0]))

    def _limit_operations(self, i: int, built: int, reader: int | None) -> list[Operation]:
        limit = self._limit(i)
        if limit is None:
            mux = "mux_last" if reader is None else "mux"
            return [("compare", (len(self.operands[i][0]),)), (mux, (built,))]
        code = sum(bit << place for place, bit in enumerate(limit[:-1])) - (limit[-1] << len(limit) - 1)
        found: list[Operation] = [
            ("compare_constant", (len(limit) - min(simplest_limit(code)[1], len(limit) - 1),))
        ]
        if reader is not None:
            found.append(("mux_nested" if self.nodes[reader].cell in _LIMITS else "mux_constant", (built,)))
            return found
        # A limit before a register is the register's set or reset; of two limits, where they agree.
        other = self._limit_before(i)
        differing = 0 if other is None else sum(p != q for p, q in zip(limit, other, strict=False))
        if differing:
            found.append(("mux_constant_last", (min(differing, built),)))
        return found

    def _limit(self, i: int) -> Bits | None:
        """The constant that a minimum or maximum compares with, all its bits; None if there is none."""
        constant = [bits for bits in self.operands[i] if all(bit <= ONE for bit in bits)]
        return constant[0] if constant else None

    def _limit_before(self, i: int) -> Bits | None:
        """The constant of the minimum or maximum of the same stage whose result this one limits."""
        for arg in self.nodes[i].args:
            while self.wires(arg) and self.nodes[arg].args:
                arg = self.nodes[arg].args[0]
            node = self.nodes[arg]
            if node.cell in _LIMITS and node.stage == self.nodes[i].stage:
                return self._limit(arg)
        return None

    def _resize_operations(self, i: int, reader: int | None) -> list[Operation]:
        node, source = self.nodes[i], self.nodes[self.nodes[i].args[0]]
        found: list[Operation] = []
        if self.operands[i]:
            found.append(("round", (len(self.operands[i][0]),)))
        drop = max(source.fmt.frac - node.fmt.frac, 0)
        over = source.fmt.width - drop + (node.rounding == "rnd" and drop > 0) - node.fmt.width
        if node.overflow == "sat" and over > 0:
            found.append(("saturate_last" if reader is None else "saturate", (node.fmt.width, over)))
        return found


@lru_cache(maxsize=65536)
def columns(table: tuple[int, ...], width: int) -> np.ndarray:
    """The bits of a table's entries, (width, entries) of 0 and 1, the lowest bit first."""
    entries = np.asarray(table, dtype=np.int64)
    return ((entries[None, :] >> np.arange(width)[:, None]) & 1).astype(np.uint8)
