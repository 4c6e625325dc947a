"""What every cell means, in exact rational arithmetic: written from docs/numerics.md, not from the code.

Values are Python fractions, so nothing here can overflow or round unless the meaning says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from hwnorm.datapath.ir import Cell, Node
from hwnorm.fixed import FixedFormat


def value(code: int, fmt: FixedFormat) -> Fraction:
    """The number that a code stands for."""
    return Fraction(int(code)) * Fraction(2) ** -fmt.frac


def resized(number: Fraction, fmt: FixedFormat, rounding: str, overflow: str) -> int:
    """The code of a number in a format as ap_fixed's assignment defines it."""
    scaled = number * Fraction(2) ** fmt.frac
    code = math.floor(scaled + Fraction(1, 2)) if rounding == "rnd" else math.floor(scaled)
    least, most = -(1 << (fmt.width - 1)), (1 << (fmt.width - 1)) - 1
    if overflow == "sat":
        return most if code > most else least if code < least else code
    code %= 1 << fmt.width
    return code - (1 << fmt.width) if code > most else code


def cell(node: Node, codes: Sequence[int], formats: Sequence[FixedFormat]) -> int:
    """The code that a cell gives for its arguments' codes; an exact cell must come out even."""
    v = [value(code, fmt) for code, fmt in zip(codes, formats, strict=True)]
    match node.cell:
        case Cell.RESIZE:
            return resized(v[0], node.fmt, node.rounding, node.overflow)
        case Cell.CONSTANT:
            return node.parameter
        case Cell.TABLE:
            return node.table[(codes[0] >> node.parameter) % len(node.table)]
        case Cell.COMPLEMENT_IF:
            return -codes[0] - 1 if v[1] < 0 else codes[0]
        case Cell.FLOAT_CODE:
            exponent, mantissa_bits = int(codes[0]).bit_length(), node.parameter - 1
            if exponent == 0:
                return 0
            mantissa = (codes[0] << (mantissa_bits - exponent + 1)) - (1 << mantissa_bits)
            return (exponent << mantissa_bits) + mantissa
        case Cell.LOW_BITS:
            return codes[0] % (1 << node.parameter)
    exact = {
        Cell.ADD: lambda: v[0] + v[1],
        Cell.SUB: lambda: v[0] - v[1],
        Cell.NEG: lambda: -v[0],
        Cell.ABS: lambda: abs(v[0]),
        Cell.MIN: lambda: min(v),
        Cell.MAX: lambda: max(v),
        Cell.MUL: lambda: v[0] * v[1],
        Cell.SHIFT: lambda: v[0] * Fraction(2) ** node.parameter,
        Cell.SELECT: lambda: v[2] if v[0] < 0 else v[1],
        Cell.GATE: lambda: v[0] if codes[1] // 2**node.parameter % 2 else Fraction(0),
    }[node.cell]()
    code = exact * Fraction(2) ** node.fmt.frac
    assert code.denominator == 1, f"{node.cell} {node.name}: {exact} has no code in {node.fmt}"
    return int(code)


def run(nodes: Sequence[Node], x: int) -> list[int]:
    """The codes of all signals for the input code ``x``."""
    codes: list[int] = []
    for node in nodes:
        args = [codes[a] for a in node.args]
        codes.append(x if node.cell is Cell.INPUT else cell(node, args, [nodes[a].fmt for a in node.args]))
    return codes
