"""What synthesis sees of a datapath: operations at the widths that are really built, and register bits.

Every signal is followed bit by bit. Shifts, slices and sign extensions are wires; constant bits vanish, equal
ones are built once, bits that nobody reads are not built at all. Synthesis does the same, so that
register bits can be counted exactly, and operations get the widths that they have in the netlist. Which bits
and operations a cell has is said by its definition (:mod:`hwnorm.datapath.cells`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hwnorm.cost.packing import Packing
from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.cells.base import Operation
from hwnorm.datapath.cells.bits import ONE, ZERO, Bits
from hwnorm.datapath.cells.table import columns
from hwnorm.datapath.ir import Cell, Node


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
    net = _Netlist(nodes)
    reads = net.reads(latency)
    operations = _Readers(net, reads).operations()
    tables = tuple(table for i in range(len(nodes)) if (table := net.table(i, reads)) is not None)
    registers: Counter[int] = Counter()
    for bit, stages in reads.items():
        before = net.stage[bit]
        for stage in sorted(stages):
            if stage > before:
                registers[stage - before] += 1
                before = stage
    inputs = sum(bit in reads for i, node in enumerate(nodes) if node.cell is Cell.INPUT for bit in net.of[i])
    return Structure(tuple(sorted(operations.items())), tables, tuple(sorted(registers.items())), inputs)


class _Netlist:
    """Numbers for the bits of every signal; equal logic gets equal numbers.

    A :class:`hwnorm.datapath.cells.base.Netlist`, which says what its public methods do.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.stage: list[int] = [0, 0]
        self._sources: list[tuple[int, ...]] = [(), ()]
        #: The node that a bit was made for first.
        self.maker: list[int] = [-1, -1]
        self.known: dict[tuple[object, ...], int] = {}
        #: The gates among them, each by the bit that it makes: its kind and its inputs.
        self.gates: dict[int, tuple[str, tuple[int, ...]]] = {}
        self.operands: list[tuple[Bits, ...]] = []
        self.of: list[Bits] = []
        for i, node in enumerate(nodes):
            self.operands.append(())
            self.of.append(CELLS[node.cell].bits(self, i, node, [self.of[a] for a in node.args]))

    def new(self, stage: int, sources: Iterable[int], *key: object) -> int:
        if key not in self.known:
            self.known[key] = len(self.stage)
            self.stage.append(stage)
            self._sources.append(tuple({bit for bit in sources if bit > ONE}))
            self.maker.append(len(self.of))
        return self.known[key]

    def chain(self, i: int, stage: int, *operands: Bits) -> Bits:
        below: set[int] = set()
        found = []
        for place, column in enumerate(zip(*operands, strict=True)):
            below.update(column)
            found.append(self.new(stage, below, i, place))
        return found

    def both(self, stage: int, a: int, b: int) -> int:
        if ZERO in (a, b):
            return ZERO
        if a == b or b == ONE:
            return a
        return b if a == ONE else self._gate(stage, "gate", min(a, b), max(a, b))

    def either(self, stage: int, a: int, b: int) -> int:
        if a == b:
            return ZERO
        if ZERO in (a, b):
            return a + b
        return self._gate(stage, "complement", min(a, b), max(a, b))

    def chosen(self, stage: int, choice: int, a: int, b: int) -> int:
        if a == b:
            return a
        return self._gate(stage, "mux_constant" if min(a, b) <= ONE else "mux", choice, a, b)

    def _gate(self, stage: int, kind: str, *inputs: int) -> int:
        bit = self.new(stage, inputs, kind, *inputs)
        self.gates[bit] = kind, inputs
        return bit

    def sources(self, *key: object) -> tuple[int, ...]:
        bit = self.known.get(key)
        return () if bit is None else self._sources[bit]

    def reads(self, latency: int) -> dict[int, set[int]]:
        """The stages in which each bit is read; a bit that nobody reads is missing."""
        found: defaultdict[int, set[int]] = defaultdict(set)
        for bit in self.of[-1]:
            if bit > ONE:
                found[bit].add(latency)
        for bit in range(len(self.stage) - 1, ONE, -1):  # sources have lower numbers
            if bit in found:
                for source in self._sources[bit]:
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


class _Readers:
    """What is read of a netlist, and the operations behind it.

    A :class:`hwnorm.datapath.cells.base.Readers`, which says what its public methods do.
    """

    def __init__(self, net: _Netlist, reads: dict[int, set[int]]) -> None:
        self.net = net
        self._reads = reads
        self._packing = Packing(net.gates, net.stage, reads)
        self.signal, self.sum, self.sources = self._packing.signal, self._packing.sum, net.sources
        self._readers: list[list[int]] = [[] for _ in net.nodes]
        for i, node in enumerate(net.nodes):
            for arg in node.args:
                self._readers[arg].append(i)

    def columns(self, i: int, *operands: Bits) -> list[tuple[int, ...]]:
        # Places whose operands are alike, copies of a sign, are built once.
        top = max(n for n in range(len(operands[0])) if self.net.known.get((i, n)) in self._reads)
        return list(dict.fromkeys(zip(*(operand[: top + 1] for operand in operands), strict=True)))

    def reader(self, i: int) -> int | None:
        stage = self.net.nodes[i].stage
        while len(self._readers[i]) == 1:
            i = self._readers[i][0]
            if self.net.nodes[i].stage != stage:
                return None
            if not self._wires(i):
                return i
        return None

    def _wires(self, i: int) -> bool:
        """Whether a node only picks bits of its argument."""
        node = self.net.nodes[i]
        if len(node.args) != 1 or CELLS[node.cell].form(node) == "block":
            return False
        return not any(self.net.maker[bit] == i for bit in self.net.of[i])

    def operations(self) -> Counter[Operation]:
        """What the nodes ask of synthesis, by kinds of operations and widths."""
        net, found = self.net, Counter[Operation]()
        for i, node in enumerate(net.nodes):
            if any(bit in self._reads and net.maker[bit] == i for bit in net.of[i]):
                args = [net.of[a] for a in node.args]
                found.update(CELLS[node.cell].operations(self, i, node, args))
        gates = Counter((net.maker[bit], kind) for bit, kind in self._packing.classes())
        found.update((kind, (count,)) for (_, kind), count in gates.items())
        return found


@lru_cache(maxsize=65536)
def whole_table(table: tuple[int, ...], width: int) -> Table:
    """A table with all of its columns, whether they are read or not."""
    return Table((len(table) - 1).bit_length(), tuple(column.tobytes() for column in columns(table, width)))
