"""What synthesis sees of a datapath: operations at the widths that are really built, and register bits.

Every signal is followed bit by bit. Shifts, slices and sign extensions are wires; constant bits vanish, equal
ones are built once, bits that nobody reads are not built at all. Synthesis does the same, so that
register bits can be counted exactly, and operations get the widths that they have in the netlist.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwnorm.cost.packing import ONE, ZERO, Packing
from hwnorm.datapath.ir import Cell, Node, compared, simplest_limit

_WIRING = (Cell.INPUT, Cell.CONSTANT, Cell.SHIFT, Cell.LOW_BITS)
_SUMS = (Cell.ADD, Cell.SUB)

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
    operations = bits.operations(reads)
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
        #: The gates among them, each by the bit that it makes: its kind and its inputs.
        self.gates: dict[int, tuple[str, tuple[int, ...]]] = {}
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
                pair = compared(self.nodes, i)
                places = [self.nodes[a].fmt.frac for a in pair]
                most = max(places)
                wide = max(len(self.of[a]) + most - place for a, place in zip(pair, places, strict=True))
                sides = tuple(extended(self.of[a], most - p, wide) for a, p in zip(pair, places, strict=True))
                self.operands[i] = sides
                first = self._new(stage, {bit for side in sides for bit in side}, i, "first")
                shifts = [max(fracs) - frac for frac in fracs]
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
        return b if a == ONE else self._gate(stage, "gate", min(a, b), max(a, b))

    def _xor(self, stage: int, a: int, b: int) -> int:
        if a == b:
            return ZERO
        if ZERO in (a, b):
            return a + b
        return self._gate(stage, "complement", min(a, b), max(a, b))

    def _chosen(self, stage: int, choice: int, a: int, b: int) -> int:
        if a == b:
            return a
        return self._gate(stage, "mux_constant" if min(a, b) <= ONE else "mux", choice, a, b)

    def _gate(self, stage: int, kind: str, *inputs: int) -> int:
        bit = self._new(stage, inputs, kind, *inputs)
        self.gates[bit] = kind, inputs
        return bit

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
            self.operands[i] = value, [half]
            value = self._chain(i, node.stage, value, [half] * len(value))
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

    def operations(self, reads: dict[int, set[int]]) -> Counter[Operation]:
        """What the nodes ask of synthesis, by kinds of operations and widths."""
        packing = Packing(self.gates, self.stage, reads)
        found: Counter[Operation] = Counter()
        for i, node in enumerate(self.nodes):
            if any(bit in reads and self.maker[bit] == i for bit in self.of[i]):
                found.update(self._operations(i, node, reads, packing))
        gates = Counter((self.maker[bit], kind) for bit, kind in packing.classes())
        found.update((kind, (count,)) for (_, kind), count in gates.items())
        return found

    def _operations(
        self, i: int, node: Node, reads: dict[int, set[int]], packing: Packing
    ) -> Iterator[Operation]:
        """What a node asks for beside its gates; ``packing`` learns what it reads."""
        args = [self.of[a] for a in node.args]
        match node.cell:
            case Cell.ADD | Cell.SUB if self.operands[i]:
                yield from self._sum_operations(i, reads, packing)
            case Cell.NEG:
                negated = [bit for (bit,) in self._columns(i, reads, extended(args[0], 0, node.fmt.width))]
                packing.sum(negated, node.stage)
                yield "negate", (len(negated),)
            case Cell.ABS | Cell.NEGATE_IF:
                turned = [bit for (bit,) in self._columns(i, reads, extended(args[0], 0, node.fmt.width))]
                packing.signal([args[-1][-1]], node.stage)
                packing.sum(turned, node.stage)
                yield "magnitude", (len(turned),)
            case Cell.MIN | Cell.MAX:
                yield from self._comparison(i, packing)
            case Cell.MUL:
                packing.signal({*args[0], *args[1]}, node.stage)
                a, b = sorted(len({*arg} - {ZERO}) for arg in args)
                yield ("square", (a,)) if node.args[0] == node.args[1] else ("mul", (a, b))
            case Cell.TABLE | Cell.FLOAT_CODE:
                packing.signal(args[0], node.stage)
                if node.cell is Cell.FLOAT_CODE:
                    yield "float", (node.parameter,)
            case Cell.RESIZE:
                yield from self._resize_operations(i, packing)

    def _columns(self, i: int, reads: dict[int, set[int]], *operands: Bits) -> list[tuple[int, ...]]:
        """The different columns of a chain's operands, up to the highest place that is read.

        Places whose operands are alike, copies of a sign, are built once.
        """
        top = max(n for n in range(len(operands[0])) if self._known.get((i, n)) in reads)
        return list(dict.fromkeys(zip(*(operand[: top + 1] for operand in operands), strict=True)))

    def _sum_operations(self, i: int, reads: dict[int, set[int]], packing: Packing) -> Iterator[Operation]:
        node, (first, second) = self.nodes[i], self.operands[i]
        if node.cell is Cell.ADD and first == second:
            packing.signal(first, node.stage)
            return
        columns = self._columns(i, reads, first, second)
        low = 0
        while columns and (columns[0][1] == ZERO or (node.cell is Cell.ADD and columns[0][0] == ZERO)):
            low += max(columns[0]) > ONE
            packing.signal(columns.pop(0), node.stage)
        if low:
            yield "constant_low", (low,)
        packing.signal([a for a, _ in columns], node.stage)
        for a, b in columns:
            straight = node.cell is Cell.ADD and a == ZERO  # to the carry chain, through no lookup table
            (packing.signal if straight else packing.sum)([b], node.stage)
        both = sum(a > ONE and b > ONE for a, b in columns)
        constants = sum((a > ONE) != (b > ONE) for a, b in columns)
        ones = sum(sorted(column)[0] == ONE < max(column) for column in columns)
        if both:
            yield "add" if node.cell is Cell.ADD else "sub", (both,)
        if constants:
            yield "constant_sum", (constants,)
        if ones:
            yield "constant_one", (ones,)
        if self._melts(i):
            yield "operand", (len(first),)

    def _melts(self, i: int) -> bool:
        """Whether synthesis makes one sum of this one and its reader's (Yosys' ``alumacc``).

        It does where the reader's carry chain takes the whole sum, and the sum's width cannot overflow.
        """
        node, reader = self.nodes[i], self.reader(i)
        if reader is None or self.nodes[reader].cell not in _SUMS:
            return False
        if len(self.operands[i][0]) != node.fmt.width:
            return False
        chain = self.operands[reader]
        whole = [op for op in chain if {*self.of[i]} <= {*op}]
        needed = max(len({*op} - {ZERO}) for op in self.operands[i]) + 1
        return bool(whole) and (node.fmt.width >= needed or node.fmt.width == len(chain[0]))

    def _comparison(self, i: int, packing: Packing) -> Iterator[Operation]:
        """A comparison of two signals, or with a constant in the bits that decide."""
        first, second = self.operands[i]
        stage = self.nodes[i].stage
        constant = [bits for bits in (first, second) if all(bit <= ONE for bit in bits)]
        if not constant:
            packing.signal({*first, *second}, stage)
            yield "compare", (len(first),)
            return
        limit = constant[0]
        code = sum(bit << place for place, bit in enumerate(limit[:-1])) - (limit[-1] << len(limit) - 1)
        low = min(simplest_limit(code)[1], len(limit) - 1)
        packing.signal({*first[low:], *second[low:]}, stage)
        yield ("compare_constant", (len(limit) - low,)) if low < len(limit) - 1 else ("compare_sign", (1,))

    def _resize_operations(self, i: int, packing: Packing) -> Iterator[Operation]:
        stage = self.nodes[i].stage
        if self.operands[i]:
            value, half = self.operands[i]
            packing.signal({*value, *half}, stage)
            yield "round", (len({*value}),)
        fits = self._known.get((i, "fits"))
        if fits is not None and self.sources[fits]:
            packing.signal(self.sources[fits], stage)
            yield "fits", (len(self.sources[fits]),)


@lru_cache(maxsize=65536)
def whole_table(table: tuple[int, ...], width: int) -> Table:
    """A table with all of its columns, whether they are read or not."""
    return Table((len(table) - 1).bit_length(), tuple(column.tobytes() for column in columns(table, width)))


@lru_cache(maxsize=65536)
def columns(table: tuple[int, ...], width: int) -> np.ndarray:
    """The bits of a table's entries, (width, entries) of 0 and 1, the lowest bit first."""
    entries = np.asarray(table, dtype=np.int64)
    return ((entries[None, :] >> np.arange(width)[:, None]) & 1).astype(np.uint8)
