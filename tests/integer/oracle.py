"""An integer network in Python's integers, one number at a time: written from the operations' docstrings.

A tensor is a list of rows, (heads x rows) of them for scores and what comes of them; nothing here can
overflow, and a number is rounded by :class:`fractions.Fraction` alone.
"""

from __future__ import annotations

import math
from fractions import Fraction

from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.oracle import run
from hwnorm.integers.network import IMAGES, IntegerNetwork
from hwnorm.integers.operations import (
    Exponentials,
    IntegerAffine,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerOperation,
    IntegerPatches,
    IntegerPool,
    IntegerScores,
    Table,
)
from hwnorm.layernorm.design import GUARD, LayerNormDesign
from hwnorm.layernorm.rsqrt import rsqrt_table

Rows = list[list[int]]


def evaluate(network: IntegerNetwork, image: list[Rows]) -> dict[str, Rows]:
    """Every tensor of one image, given as codes [channel][row][column]; the image itself is left out."""
    tensors: dict[str, Rows] = {}
    for op in network.operations:
        if isinstance(op, IntegerPatches):
            assert op.x == IMAGES
            tensors[op.out] = patches(op, image)
        else:
            tensors[op.out] = one(op, [tensors[name] for name in op.reads], network.formats)
    return tensors


def patches(op: IntegerPatches, image: list[Rows]) -> Rows:
    """Each patch's pixels, channel by channel, row by row."""
    down, across = len(image[0]) // op.height, len(image[0][0]) // op.width
    return [
        [
            channel[r * op.height + i][c * op.width + j]
            for channel in image
            for i in range(op.height)
            for j in range(op.width)
        ]
        for r in range(down)
        for c in range(across)
    ]


def put(number: Fraction, fmt: FixedFormat) -> int:
    """Rounded half up, saturated."""
    rounded = math.floor(number + Fraction(1, 2))
    return max(-(2 ** (fmt.width - 1)), min(2 ** (fmt.width - 1) - 1, rounded))


def one(op: IntegerOperation, reads: list[Rows], formats: dict[str, FixedFormat]) -> Rows:
    """What an operation makes of one image's tensors."""
    match op:
        case Table():
            return ints(op.codes)
        case IntegerLinear():
            return linear(op, *reads)
        case IntegerFunction():
            return [[run(op.datapath.nodes, code)[-1] for code in row] for row in reads[0]]
        case IntegerNorm():
            return [norm(op, row) for row in reads[0]]
        case IntegerAffine():
            times, added = ints(op.multiplier), ints(op.bias)
            return [
                [
                    put(Fraction(x * m + b, 2**op.shift), op.format)
                    for x, m, b in zip(row, times, added, strict=True)
                ]
                for row in reads[0]
            ]
        case IntegerScores():
            return [
                [put(Fraction(dot(q, k), 2**op.shift), op.format) for k in heads(reads[1], op.heads)[h]]
                for h in range(op.heads)
                for q in heads(reads[0], op.heads)[h]
            ]
        case Exponentials():
            least = -(2 ** (formats[op.x].width - 1))
            return [[run(op.datapath.nodes, max(x - max(row), least))[-1] for x in row] for row in reads[0]]
        case IntegerContext():
            return context(op, *reads)
        case IntegerPool():
            count = len(reads[0][0])
            sums = [sum(row[c] for row in reads[0][op.first : op.end]) for c in range(count)]
            return [[put(Fraction(s * op.multiplier, 2**op.shift), op.format) for s in sums]]
    raise TypeError(type(op).__name__)


def ints(array) -> list:
    return array.tolist()


def dot(a: list[int], b: list[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def heads(x: Rows, count: int) -> list[Rows]:
    """Each head's rows."""
    size = len(x[0]) // count
    return [[row[h * size : (h + 1) * size] for row in x] for h in range(count)]


def linear(op: IntegerLinear, x: Rows, stream: Rows | None = None) -> Rows:
    weight, bias, multiplier = ints(op.weight), ints(op.bias), ints(op.multiplier)
    sums = [[(dot(row, w) + b) * m for w, b, m in zip(weight, bias, multiplier, strict=True)] for row in x]
    if stream is not None:
        sums = [[0] * len(weight)] * op.first + sums
        sums = [
            [s + r * 2**op.lift for s, r in zip(*rows, strict=True)]
            for rows in zip(sums, stream, strict=True)
        ]
    return [[put(Fraction(s, 2**op.shift), op.format) for s in row] for row in sums]


def context(op: IntegerContext, p: Rows, v: Rows) -> Rows:
    count = len(p) // op.heads
    found: Rows = [[] for _ in range(count)]
    for h, values in enumerate(heads(v, op.heads)):
        for i in range(count):
            row = p[h * count + i]
            reciprocal = math.floor(Fraction(2**op.digits, sum(row)) + Fraction(1, 2))
            for column in zip(*values, strict=True):
                found[i].append(put(Fraction(dot(row, list(column)) * reciprocal, 2**op.shift), op.format))
    return found


def norm(op: IntegerNorm, row: list[int]) -> list[int]:
    """A token, each head by itself."""
    size = op.design.channels
    gamma, beta = ints(op.gamma), ints(op.beta)
    return [
        y for i in range(0, len(row), size) for y in layer_norm(op.design, row[i : i + size], gamma, beta)
    ]


def layer_norm(design: LayerNormDesign, x: list[int], gamma: list[int], beta: list[int]) -> list[int]:
    """docs/layernorm.md's table of signals."""
    s = sum(x)
    v = (design.channels * dot(x, x) - s * s) * 2**GUARD + design.eps_code
    if v == 0:
        k, r = 0, rsqrt(Fraction(1, 2), design.r_width)
    else:
        k = 0
        while 4 ** (k + 1) * v < 2**design.v_width:
            k += 1
        r = rsqrt(Fraction(v * 4**k, 2**design.v_width), design.r_width)
    found = []
    for i, code in enumerate(x):
        t = design.channels * code - s
        a = math.floor(Fraction(t * 2**k * 2**design.a_frac, 2**design.sum_width))
        exact = Fraction(a * r, 2 ** (design.a_frac + design.r_width - 1))
        if design.gamma is not None and design.beta is not None:
            z = math.floor(exact * 2**design.z_frac + Fraction(1, 2))
            exact = Fraction(z * gamma[i], 2 ** (design.z_frac + design.gamma.frac))
            exact += Fraction(beta[i], 2**design.beta.frac)
        found.append(put(exact * 2**design.output.frac, design.output))
    return found


def rsqrt(m: Fraction, width: int) -> int:
    """1 / sqrt(m) for m in [1/4, 1): a table's value y, then y + y (1 - m y^2) / 2, each part cut off."""

    def cut(value: Fraction, bits: int) -> Fraction:
        return Fraction(math.floor(value * 2**bits), 2**bits)

    m = cut(m, width + 5)
    upper = m >= Fraction(1, 2)
    bits = width // 2
    behind = math.floor((m * (2 if upper else 4) - 1) * 2**bits)
    # Where the table has more places than m has bits, the middle of those that it may be.
    place = math.floor((behind + (Fraction(1, 2) if bits < 8 else 0)) * Fraction(2) ** (8 - bits))
    y = 1 + cut(Fraction(rsqrt_table()[256 * upper + place], 2**12), bits + 4)
    u = cut(m * y, width + 5)
    h = cut(1 - u * y, width + 3)
    found = math.floor((y + y * h / 2) * 2 ** (width - 1) + Fraction(1, 2))
    return min(found, 2**width - 1)
