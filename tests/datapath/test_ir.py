"""Each cell is what its definition says, in exact arithmetic, for random formats and codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import formats

from hwnorm.datapath.cells.limits import compared
from hwnorm.datapath.cells.resize import resize
from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node, lifetimes, run_cell, run_nodes
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.oracle import cell, resized, value

BINARY = (Cell.ADD, Cell.SUB, Cell.MIN, Cell.MAX, Cell.MUL)
UNARY = (Cell.NEG, Cell.ABS, Cell.SHIFT, Cell.COMPLEMENT_IF)


def some_codes(fmt: FixedFormat) -> st.SearchStrategy[list[int]]:
    """Eight codes, the ends among them more often than by chance."""
    ends = st.sampled_from([fmt.min_code, fmt.max_code, 0, -1])
    return st.lists(ends | st.integers(fmt.min_code, fmt.max_code), min_size=8, max_size=8)


def agrees(node: Node, args: list[list[int]], arg_formats: list[FixedFormat]) -> None:
    got = run_cell(node, [np.array(codes) for codes in args], arg_formats)
    want = [cell(node, codes, arg_formats) for codes in zip(*args, strict=True)]
    assert got.dtype == np.int64
    assert got.tolist() == want


@pytest.mark.parametrize("kind", BINARY)
@given(data=st.data())
def test_cells_of_two_signals(kind, data):
    """Sums, differences, choices and products are exact, whatever the two binary points are."""
    arg_formats = [data.draw(formats()) for _ in range(2)]
    args = [data.draw(some_codes(fmt)) for fmt in arg_formats]
    fracs = [fmt.frac for fmt in arg_formats]
    fmt = FixedFormat(60, sum(fracs) if kind is Cell.MUL else max(fracs))
    agrees(Node(kind, (0, 1), fmt, "n", "n"), args, arg_formats)


@pytest.mark.parametrize("kind", UNARY)
@given(data=st.data(), places=st.integers(-9, 9))
def test_cells_of_one_value(kind, data, places):
    """Signs, magnitudes and shifts are exact; a shift moves the binary point and no bit."""
    fmt, sign = data.draw(formats()), data.draw(formats())
    arg_formats = [fmt, sign] if kind is Cell.COMPLEMENT_IF else [fmt]
    args = [data.draw(some_codes(f)) for f in arg_formats]
    shift = places if kind is Cell.SHIFT else 0
    node = Node(kind, (0, 1)[: len(args)], FixedFormat(60, fmt.frac - shift), "n", "n", parameter=shift)
    agrees(node, args, arg_formats)


@given(data=st.data())
def test_select(data):
    """The sign of the first argument decides; the other two keep their values."""
    arg_formats = [data.draw(formats()) for _ in range(3)]
    args = [data.draw(some_codes(fmt)) for fmt in arg_formats]
    fmt = FixedFormat(60, max(f.frac for f in arg_formats[1:]))
    agrees(Node(Cell.SELECT, (0, 1, 2), fmt, "n", "n"), args, arg_formats)


@given(data=st.data(), bit=st.integers(0, 20))
def test_gate(data, bit):
    """One bit of the second argument lets the first pass; bits beyond the sign are copies of it."""
    arg_formats = [data.draw(formats()) for _ in range(2)]
    args = [data.draw(some_codes(fmt)) for fmt in arg_formats]
    fmt = FixedFormat(60, arg_formats[0].frac)
    agrees(Node(Cell.GATE, (0, 1), fmt, "n", "n", parameter=bit), args, arg_formats)


@given(data=st.data(), bits=st.integers(2, 30))
def test_float_code(data, bits):
    """Exponent and mantissa; it grows with its argument, zero is zero."""
    fmt = FixedFormat(bits + 1, 3)
    codes = sorted(data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=2, max_size=9, unique=True)))
    node = Node(Cell.FLOAT_CODE, (0,), FixedFormat(60, 0), "n", "n", parameter=bits)
    agrees(node, [codes], [fmt])
    floats = run_cell(node, [np.array(codes)], [fmt])
    assert (np.diff(floats) > 0).all()


@given(data=st.data(), width=st.integers(6, 20), address_bits=st.integers(0, 5), low_bits=st.integers(0, 6))
def test_tables_and_low_bits(data, width, address_bits, low_bits):
    """A table reads the bits from ``parameter`` up as an unsigned address, negative codes too."""
    fmt = FixedFormat(width, 3)
    size = 2**address_bits
    table = tuple(data.draw(st.lists(st.integers(-100, 100), min_size=size, max_size=size)))
    codes = data.draw(some_codes(fmt))
    agrees(Node(Cell.TABLE, (0,), FixedFormat(9, 0), "n", "n", low_bits, table), [codes], [fmt])
    agrees(Node(Cell.LOW_BITS, (0,), FixedFormat(9, 3), "n", "n", low_bits), [codes], [fmt])


@pytest.mark.parametrize("rounding", ["trn", "rnd"])
@pytest.mark.parametrize("overflow", ["sat", "wrap"])
@given(source=formats(), to=formats(), data=st.data())
def test_resize_is_the_assignment_of_ap_fixed(rounding, overflow, source, to, data):
    """TRN or RND, then SAT or WRAP, equals the definition of ap_fixed on exact values."""
    codes = data.draw(some_codes(source))
    got = resize(np.array(codes), source, to, rounding, overflow)
    assert got.tolist() == [resized(value(code, source), to, rounding, overflow) for code in codes]
    agrees(Node(Cell.RESIZE, (0,), to, "n", "n", rounding=rounding, overflow=overflow), [codes], [source])


@given(code=st.integers(-(2**61), 2**61 - 1))
@example(code=-(2**61))
@example(code=2**61 - 1)
def test_the_widest_signals_do_not_overflow(code):
    """Rounding and wrapping a signal of 62 bits stays within NumPy's int64."""
    source, to = FixedFormat(62, 30), FixedFormat(62, 29)
    for overflow in ("sat", "wrap"):
        got = resize(np.array([code]), source, to, "rnd", overflow)
        assert got.tolist() == [resized(value(code, source), to, "rnd", overflow)]


def double(stage_of_output: int) -> Datapath:
    fmt = FixedFormat(6, 2)
    nodes = (
        Node(Cell.INPUT, (), fmt, "x", "x"),
        Node(Cell.CONSTANT, (), fmt, "c", "1", parameter=4),
        Node(Cell.ADD, (0, 1), FixedFormat(7, 2), "sum", "x + 1"),
        Node(Cell.ADD, (2, 0), FixedFormat(8, 2), "y", "x + 1 + x", stage=stage_of_output),
    )
    certificate = Certificate(0.0, 0.0, 0, 64)
    return Datapath("x + 1 + x", fmt, nodes[-1].fmt, nodes, stage_of_output + 1, "any", 100.0, certificate)


def test_evaluate_keeps_the_shape():
    """Codes of any shape, and one code alone, give results of the same shape."""
    datapath = double(0)
    codes = np.arange(-32, 32).reshape(4, 2, 8)
    np.testing.assert_array_equal(datapath.evaluate(codes), 2 * codes + 4)
    assert datapath.evaluate(np.int64(3)).shape == ()
    assert datapath.evaluate(codes.astype(np.int8)).dtype == np.int64


def test_a_signal_is_registered_until_its_last_use():
    """x and the sum live to the stage that reads them last, the output to the end; constants are wires."""
    datapath = double(2)
    assert datapath.lifetimes() == [2, 0, 2, 1]
    assert lifetimes(double(0).nodes, 1) == [0, 0, 0, 1]


LIMITS = st.sampled_from((Cell.MIN, Cell.MAX))


@given(first=LIMITS, second=LIMITS, a=st.integers(-40, 40), b=st.integers(-40, 40), swap=st.booleans())
@example(first=Cell.MAX, second=Cell.MIN, a=-12, b=12, swap=False)
@example(first=Cell.MAX, second=Cell.MIN, a=12, b=-12, swap=False)
def test_limits_of_limits_choose_alike_by_what_was_before(first, second, a, b, swap):
    """Where the first limit is looked through, comparing x itself picks the same result at every code."""
    fmt = FixedFormat(8, 3)

    def limit(kind, signal, constant):
        args = (constant, signal) if swap else (signal, constant)
        return Node(kind, args, fmt, kind.value, "part")

    constants = [Node(Cell.CONSTANT, (), fmt, "c", "c", parameter=code) for code in (a, b)]
    nodes = (Node(Cell.INPUT, (), fmt, "x", "x"), *constants, limit(first, 0, 1), limit(second, 3, 2))
    pair = compared(nodes, 4)
    through = 0 in pair
    assert through == (a <= b if first is Cell.MAX else a >= b)
    if not through:
        assert pair == nodes[4].args
        return
    codes = fmt.codes()
    limited = run_nodes(nodes[:4], codes)
    takes_signal = codes < b if second is Cell.MIN else codes > b
    assert np.array_equal(np.where(takes_signal, limited, b), run_nodes(nodes, codes))


def test_limits_of_another_stage_are_not_looked_through():
    """What the first limit compares is not carried there."""
    fmt = FixedFormat(8, 3)
    low, high = (Node(Cell.CONSTANT, (), fmt, "c", "c", parameter=code) for code in (-9, 9))
    clip = Node(Cell.MAX, (0, 1), fmt, "m", "p"), Node(Cell.MIN, (3, 2), fmt, "n", "p", stage=1)
    nodes = (Node(Cell.INPUT, (), fmt, "x", "x"), low, high, *clip)
    assert compared(nodes, 4) == (3, 2)
