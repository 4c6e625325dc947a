"""`Datapath.evaluate` against apytypes, a fixed-point library by others, on whole kernels."""

from __future__ import annotations

import apytypes
import numpy as np
import pytest

from hwnorm.datapath.ir import Cell, Datapath, Node
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target

KERNELS = [
    ("2.58*tanh(x) + 0.24", "s12f8", "s12f8"),
    ("-0.84*x + 1.31*clip(2*x, 5) + 0.548*tanh(tanh(tanh(x)) + 0.227)", "s12f7", "s8f5"),
    ("x*sigmoid(1.7*x) - 0.3*square(min(x, 1))", "s10f6", "s12f7"),
    ("select(x - 0.5, exp2(-abs(x)), 0.25*x)", "s10f6", "s10f7"),
    ("sqrt(abs(x) + 0.5)*log2(max(x, 0.25))", "s10f6", "s14f8"),
]


def array(codes: np.ndarray, fmt: FixedFormat):
    """An array of apytypes with these codes."""
    return apytypes.APyFixedArray(codes.tolist(), int_bits=fmt.integer_bits, frac_bits=fmt.frac)


def codes_of(values, fmt: FixedFormat) -> np.ndarray:
    """Its codes in a format that holds it exactly; apytypes' own cast, which must change nothing."""
    cast = values.cast(int_bits=fmt.integer_bits, frac_bits=fmt.frac)
    assert (cast == values).all()
    return np.array(cast.to_bits(), dtype=object)


def signed(bits: np.ndarray, width: int) -> np.ndarray:
    return np.array([b - (1 << width) if b >> (width - 1) else b for b in bits.tolist()], dtype=np.int64)


def step(node: Node, args: list[np.ndarray], formats: list[FixedFormat]) -> np.ndarray:
    """One cell by apytypes' arithmetic; what is no arithmetic (bits, tables) by its definition."""
    fx = [array(codes, fmt) for codes, fmt in zip(args, formats, strict=True)]
    match node.cell:
        case Cell.ADD:
            value = fx[0] + fx[1]
        case Cell.SUB:
            value = fx[0] - fx[1]
        case Cell.MUL:
            value = fx[0] * fx[1]
        case Cell.NEG:
            value = -fx[0]
        case Cell.ABS:
            value = abs(fx[0])
        case Cell.MIN | Cell.MAX | Cell.SELECT:
            first = fx[0] < fx[1] if node.cell is Cell.MIN else fx[0] > fx[1]
            pair = fx[:2]
            if node.cell is Cell.SELECT:
                first, pair = args[0] >= 0, fx[1:]
            wide = FixedFormat(
                max(f.integer_bits for f in formats[-2:]) + max(f.frac for f in formats[-2:]),
                max(f.frac for f in formats[-2:]),
            )
            both = [signed(codes_of(v, wide), wide.width) for v in pair]
            value = array(np.where(first, *both), wide)
        case Cell.SHIFT:
            value = fx[0] << node.parameter
        case Cell.RESIZE:
            value = fx[0].cast(
                int_bits=node.fmt.integer_bits,
                frac_bits=node.fmt.frac,
                quantization=getattr(apytypes.QuantizationMode, node.rounding.upper()),
                overflow=getattr(apytypes.OverflowMode, node.overflow.upper()),
            )
        case Cell.COMPLEMENT_IF:
            return np.where(args[1] < 0, ~args[0], args[0])
        case Cell.GATE:
            return np.where((args[1] >> node.parameter) & 1, args[0], 0)
        case Cell.LOW_BITS:
            return args[0] % (1 << node.parameter)
        case Cell.TABLE:
            return np.array(node.table)[(args[0] >> node.parameter) % len(node.table)]
        case _:
            raise AssertionError(node.cell)
    return signed(codes_of(value, node.fmt), node.fmt.width)


def by_apytypes(datapath: Datapath) -> np.ndarray:
    """The output codes for all input codes."""
    codes = datapath.input.codes()
    values: list[np.ndarray] = []
    for node in datapath.nodes:
        if node.cell is Cell.INPUT:
            values.append(codes)
        elif node.cell is Cell.CONSTANT:
            values.append(np.full(len(codes), node.parameter))
        else:
            args = [values[a] for a in node.args]
            values.append(step(node, args, [datapath.nodes[a].fmt for a in node.args]))
    return values[-1]


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize(("text", "source", "to"), KERNELS)
def test_evaluate_agrees_with_apytypes(text, source, to, fuse):
    """Every code of every kernel, fused and as written."""
    formats = FixedFormat.parse(source), FixedFormat.parse(to)
    datapath = lower(parse(text), *formats, load_target("xcup"), 100.0, fuse=fuse)
    np.testing.assert_array_equal(datapath.evaluate(datapath.input.codes()), by_apytypes(datapath))
