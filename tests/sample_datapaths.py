"""Datapaths for the tests of emission and verification: one of every cell, and random ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node, run_cell
from hwnorm.fixed import FixedFormat, Overflow, Rounding

#: A bound that every 64-bit result meets: these datapaths have no real-valued expression.
UNBOUNDED = 1e30


@dataclass
class Sketch:
    """A datapath in the making; every signal is evaluated over all codes, so formats always hold."""

    fmt: FixedFormat
    nodes: list[Node] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes.append(Node(Cell.INPUT, (), self.fmt, "x", "x"))
        self.values.append(self.fmt.codes())

    def put(
        self,
        cell: Cell,
        *args: int,
        parameter: int = 0,
        table: tuple[int, ...] = (),
        fmt: FixedFormat | None = None,
        rounding: Rounding = "trn",
        overflow: Overflow = "wrap",
        wider: int = 0,
        later: int = 0,
    ) -> int:
        """Add a cell, ``later`` stages behind its arguments and ``wider`` than needed; its index."""
        formats = [self.nodes[a].fmt for a in args]
        stage = max((self.nodes[a].stage for a in args), default=0) + later
        frac = CELLS[cell].frac([f.frac for f in formats], parameter)
        guess = fmt or FixedFormat(62, max((f.frac for f in formats), default=2) if frac is None else frac)
        node = Node(
            cell,
            args,
            guess,
            f"n{len(self.nodes)}_{cell.value}",
            f"{cell.value} of it",
            parameter,
            table,
            rounding,
            overflow,
            stage,
        )
        values = np.broadcast_to(
            run_cell(node, [self.values[a] for a in args], formats), self.values[0].shape
        )
        if fmt is None:
            # Entries that no code looks up are emitted too.
            held = [int(values.min()), int(values.max()), *table]
            tight = FixedFormat.holding(min(held), max(held), guess.frac)
            fmt = FixedFormat(min(tight.width + wider, 62), guess.frac)
        self.nodes.append(Node(cell, args, fmt, *_rest(node)))
        self.values.append(values)
        return len(self.nodes) - 1

    def finish(self, output: FixedFormat, later: int = 1) -> Datapath:
        """Resize the last signal into the output format, ``later`` stages on."""
        self.put(Cell.RESIZE, len(self.nodes) - 1, fmt=output, rounding="rnd", overflow="sat", later=later)
        certificate = Certificate(UNBOUNDED, 0.0, 0, 1 << self.fmt.width)
        latency = self.nodes[-1].stage + 1
        return Datapath("x", self.fmt, output, tuple(self.nodes), latency, "none", 100.0, certificate)


def _rest(node: Node) -> tuple[object, ...]:
    return node.name, node.part, node.parameter, node.table, node.rounding, node.overflow, node.stage


def every_cell() -> Datapath:
    """Every kind of cell; resizes with each rounding and overflow, narrowing and widening."""
    s = Sketch(FixedFormat(9, 5))
    offset = s.put(Cell.CONSTANT, parameter=-3)
    total = s.put(Cell.ADD, 0, offset)
    less = s.put(Cell.SUB, total, 0, later=1)
    negated = s.put(Cell.NEG, total)
    magnitude = s.put(Cell.ABS, negated, wider=2)
    smaller = s.put(Cell.MIN, magnitude, total)
    greater = s.put(Cell.MAX, less, 0, later=2)
    product = s.put(Cell.MUL, smaller, greater, later=1)
    shifted = s.put(Cell.SHIFT, product, parameter=-2)
    fraction = s.put(Cell.LOW_BITS, 0, parameter=4)
    wide_low = s.put(Cell.LOW_BITS, 0, parameter=11)
    looked_up = s.put(Cell.TABLE, 0, parameter=6, table=(5, -7, 0, 100, -128, 1, 2, 3))
    beyond = s.put(Cell.TABLE, 0, parameter=7, table=tuple(range(-8, 8)))
    single = s.put(Cell.TABLE, 0, table=(9,))
    complemented = s.put(Cell.COMPLEMENT_IF, looked_up, less)
    selected = s.put(Cell.SELECT, negated, shifted, total, later=1)
    gated = s.put(Cell.GATE, total, fraction, parameter=2)
    beyond_sign = s.put(Cell.GATE, total, negated, parameter=14)
    parts = [shifted, fraction, wide_low, looked_up, beyond, single]
    floated = s.put(Cell.FLOAT_CODE, fraction, parameter=4, fmt=FixedFormat(7, 0))
    floated_wide = s.put(Cell.FLOAT_CODE, magnitude, parameter=11, fmt=FixedFormat(15, 0), later=1)
    parts += [complemented, selected, gated, beyond_sign, floated, floated_wide]
    for rounding in ("trn", "rnd"):
        for overflow in ("sat", "wrap"):
            for width, frac in ((4, 2), (1, 0), (7, -3), (20, 12), (3, -8)):
                parts.append(
                    s.put(Cell.RESIZE, 0, fmt=FixedFormat(width, frac), rounding=rounding, overflow=overflow)
                )
    # A weighted sum, so that no part can hide behind another.
    last = parts[0]
    for number, part in enumerate(parts[1:]):
        weight = s.put(Cell.CONSTANT, parameter=2 * number + 3)
        last = s.put(Cell.ADD, last, s.put(Cell.MUL, part, weight), later=number % 4 == 0)
    return s.finish(FixedFormat(24, 8))


@st.composite
def datapaths(draw: st.DrawFn) -> Datapath:
    """Random cells on random earlier signals, some a stage later, some wider than needed."""
    width = draw(st.integers(2, 9))
    s = Sketch(FixedFormat(width, draw(st.integers(0, width))))
    for _ in range(draw(st.integers(2, 12))):
        cell = draw(st.sampled_from([c for c in Cell if c is not Cell.INPUT]))
        narrow = [i for i, node in enumerate(s.nodes) if node.fmt.width <= 20 and abs(node.fmt.frac) < 24]
        a, b, c = (draw(st.sampled_from(narrow)) for _ in range(3))
        wider, later = draw(st.integers(0, 2)), draw(st.sampled_from((0, 0, 1, 3)))
        args = (a, b, c)[: CELLS[cell].arity]
        parameter, table, fmt = 0, (), None
        if cell is Cell.FLOAT_CODE:
            if s.values[a].min() < 0 or s.values[a].max() >= 1 << 12:
                cell = Cell.ABS
            else:
                parameter = max(2, int(s.values[a].max()).bit_length()) + draw(st.integers(0, 3))
                fmt = FixedFormat.holding(0, ((parameter + 1) << (parameter - 1)) - 1, 0)
        if cell is Cell.CONSTANT:
            parameter, later = draw(st.integers(-200, 200)), 0
        elif cell is Cell.SHIFT:
            parameter = draw(st.integers(-4, 4))
        elif cell in (Cell.LOW_BITS, Cell.GATE):
            parameter = draw(st.integers(0, 8))
        elif cell is Cell.TABLE:
            parameter = draw(st.integers(0, 6))
            length = 1 << draw(st.integers(0, 4))
            table = tuple(draw(st.lists(st.integers(-99, 99), min_size=length, max_size=length)))
        elif cell is Cell.RESIZE:
            fmt = FixedFormat(draw(st.integers(1, 16)), draw(st.integers(-6, 12)))
        s.put(
            cell,
            *args,
            parameter=parameter,
            table=table,
            fmt=fmt,
            rounding=draw(st.sampled_from(("trn", "rnd"))),
            overflow=draw(st.sampled_from(("sat", "wrap"))),
            wider=wider,
            later=later,
        )
    output = FixedFormat(draw(st.integers(2, 20)), draw(st.integers(-2, 10)))
    return s.finish(output, later=draw(st.integers(0, 1)))
