"""The datapath: cells on fixed-point signals, in an order in which each can be computed.

A cell is one small piece of hardware. The set is closed and small; operators are built from it, so
the bit-true evaluation, the Verilog, the HLS code and the cost of every operator follow from those
of the cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from hwnorm.fixed import MAX_WIDTH, FixedFormat, Overflow, Rounding


class Cell(StrEnum):
    """The kinds of cells; a and b are the arguments, code(v) the integer of a signal."""

    INPUT = "input"  #: x
    CONSTANT = "constant"  #: the code ``parameter``
    ADD = "add"  #: a + b, exact
    SUB = "sub"  #: a - b, exact
    NEG = "neg"  #: -a, exact
    ABS = "abs"  #: |a|, exact
    MIN = "min"  #: the smaller of a and b
    MAX = "max"  #: the greater of a and b
    MUL = "mul"  #: a * b, exact
    SHIFT = "shift"  #: a * 2**parameter, wiring: the same code, another binary point
    RESIZE = "resize"  #: a in the node's format, by the node's rounding and overflow
    TABLE = "table"  #: ``table[bits of a]``: bits ``parameter`` and up of code(a), unsigned
    LOW_BITS = "low_bits"  #: the lowest ``parameter`` bits of code(a), as an unsigned number
    FLOAT_CODE = "float_code"  #: a >= 0 of ``parameter`` bits as exponent and mantissa, see float_code()
    NEGATE_IF = "negate_if"  #: -a where b is negative, else a
    COMPLEMENT_IF = "complement_if"  #: the code ~a (-a less one step) where b is negative, else a
    SELECT = "select"  #: c where a is negative, else b; the arguments are (a, b, c)
    GATE = "gate"  #: a where bit ``parameter`` of code(b) is set, else 0


@dataclass(frozen=True, slots=True)
class Node:
    """One cell and the signal that it drives.

    ``args`` are indices of earlier nodes. ``rounding`` and ``overflow`` matter for ``RESIZE`` alone:
    all other cells are exact, their format holds every value that occurs. ``stage`` is the pipeline
    stage (0 first) in which the cell is computed; a signal that is used in a later stage is carried
    there in registers. ``name`` is the signal's name in Verilog and C++, ``part`` the piece of the
    expression that it computes or helps to.
    """

    cell: Cell
    args: tuple[int, ...]
    fmt: FixedFormat
    name: str
    part: str
    parameter: int = 0
    table: tuple[int, ...] = ()
    rounding: Rounding = "trn"
    overflow: Overflow = "wrap"
    stage: int = 0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Error of a kernel against its real-valued expression, over all ``codes`` input codes.

    In ulp of the output; where the expression leaves the output's range, it counts clamped. With
    ``exhaustive`` every code was computed: ``max_error_ulp`` occurs, at ``worst_code``. Otherwise it is a
    proven bound, and the mean and the worst code are not known.
    """

    max_error_ulp: float
    mean_error_ulp: float | None
    worst_code: int | None
    codes: int
    exhaustive: bool = True


@dataclass(frozen=True)
class Datapath:
    """An expression lowered for a format, a target and a clock. ``nodes[-1]`` drives the output.

    ``latency`` is in clock cycles from an accepted beat to its result; the result is registered, and
    a stage lies before each register, so it equals the number of stages.
    """

    expression: str
    input: FixedFormat
    output: FixedFormat
    nodes: tuple[Node, ...]
    latency: int
    target: str
    clock_mhz: float
    certificate: Certificate

    def evaluate(self, codes: np.ndarray) -> np.ndarray:
        """Input codes to output codes, bit for bit what the hardware does.

        Args:
            codes: integers within the input format, any shape.

        Returns:
            int64 codes in the output format, of the same shape.
        """
        return run_nodes(self.nodes, codes)

    def lifetimes(self) -> list[int]:
        """For each node, the number of register stages that carry its signal."""
        return lifetimes(self.nodes, self.latency)


def lifetimes(nodes: Sequence[Node], latency: int) -> list[int]:
    """For each scheduled node, the number of register stages that carry its signal.

    A signal lives until the last stage that reads it; the output until the end of the pipeline.
    """
    last = [node.stage for node in nodes]
    for node in nodes:
        for arg in node.args:
            last[arg] = max(last[arg], node.stage)
    last[-1] = latency
    return [0 if node.cell is Cell.CONSTANT else last[i] - node.stage for i, node in enumerate(nodes)]


def run_nodes(nodes: Sequence[Node], codes: np.ndarray) -> np.ndarray:
    """Evaluate ``nodes`` in order on the input ``codes`` and return the last one's (int64)."""
    codes = np.asarray(codes, dtype=np.int64)
    values: list[np.ndarray] = []
    for node in nodes:
        arguments = [values[i] for i in node.args]
        formats = [nodes[i].fmt for i in node.args]
        values.append(codes if node.cell is Cell.INPUT else run_cell(node, arguments, formats))
    return np.broadcast_to(values[-1], codes.shape).copy()


def run_cell(node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> np.ndarray:
    """The codes that a cell makes of its arguments' codes: the definition of each cell."""
    out: Any
    match node.cell:
        case Cell.CONSTANT:
            out = np.int64(node.parameter)
        case Cell.ADD | Cell.SUB | Cell.MIN | Cell.MAX:
            frac = max(fmt.frac for fmt in formats)
            a, b = (v << (frac - fmt.frac) for v, fmt in zip(args, formats, strict=True))
            combine = {Cell.ADD: np.add, Cell.SUB: np.subtract, Cell.MIN: np.minimum, Cell.MAX: np.maximum}
            out = combine[node.cell](a, b)
        case Cell.NEG:
            out = -args[0]
        case Cell.ABS:
            out = np.abs(args[0])
        case Cell.MUL:
            out = args[0] * args[1]
        case Cell.SHIFT:
            out = args[0]
        case Cell.RESIZE:
            out = resize(args[0], formats[0], node.fmt, node.rounding, node.overflow)
        case Cell.TABLE:
            address = (args[0] >> node.parameter) & (len(node.table) - 1)
            out = np.asarray(node.table, dtype=np.int64)[address]
        case Cell.LOW_BITS:
            out = args[0] & ((1 << node.parameter) - 1)
        case Cell.FLOAT_CODE:
            out = float_code(args[0], node.parameter)
        case Cell.NEGATE_IF:
            out = np.where(args[1] < 0, -args[0], args[0])
        case Cell.COMPLEMENT_IF:
            out = np.where(args[1] < 0, ~args[0], args[0])
        case Cell.SELECT:
            frac = max(fmt.frac for fmt in formats[1:])
            b, c = (v << (frac - fmt.frac) for v, fmt in zip(args[1:], formats[1:], strict=True))
            out = np.where(args[0] < 0, c, b)
        case Cell.GATE:
            out = args[0] * ((args[1] >> node.parameter) & 1)
        case _:
            raise AssertionError(node.cell)
    return np.asarray(out, dtype=np.int64)


def float_code(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes 0 <= u < 2**bits as those of a float: the exponent above ``bits - 1`` bits of mantissa.

    The exponent is the place of the highest bit set, from 1; zero has zero. The code grows with u, and
    along a line between powers of two: equal steps of it are steps in proportion to u.
    """
    exponent = np.frexp(codes.astype(np.float64))[1].astype(np.int64)  # exact: codes have few bits
    mantissa = np.left_shift(codes, np.maximum(bits - exponent, 0)) - (1 << (bits - 1))
    return np.where(codes > 0, (exponent << (bits - 1)) + mantissa, 0)


def resize(
    codes: np.ndarray, source: FixedFormat, to: FixedFormat, rounding: Rounding, overflow: Overflow
) -> np.ndarray:
    """Codes of one format as codes of another: ``trn`` or ``rnd``, then ``sat`` or ``wrap``."""
    drop = source.frac - to.frac
    if drop > 0:
        if rounding == "rnd":
            codes = codes + (1 << (drop - 1))
        codes = codes >> drop
    else:
        codes = codes << -drop
    if overflow == "sat":
        return np.asarray(np.clip(codes, to.min_code, to.max_code))
    return np.asarray(((codes - to.min_code) & ((1 << to.width) - 1)) + to.min_code)


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
