"""The structure of a datapath: wires vanish, equal logic is one, and registers are counted bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sample_datapaths import datapaths

from hwnorm.cost.structure import structure
from hwnorm.datapath.ir import Cell, Node
from hwnorm.fixed import FixedFormat

X = Node(Cell.INPUT, (), FixedFormat(8, 4), "x", "x")


def node(cell: Cell, args: tuple[int, ...], width: int = 8, frac: int = 4, **more: object) -> Node:
    return Node(cell, args, FixedFormat(width, frac), f"{cell}", "part", **more)


def built(*nodes: Node, latency: int = 1) -> dict[str, tuple[int, ...]]:
    return {kind: size for (kind, size), _ in structure(nodes, latency).operations}


@pytest.mark.parametrize(
    "wiring",
    [
        node(Cell.SHIFT, (0,), frac=2, parameter=2),
        node(Cell.LOW_BITS, (0,), parameter=5),
        node(Cell.RESIZE, (0,), 5, 1),
    ],
    ids=lambda n: n.cell.value,
)
def test_wires_are_no_operations(wiring):
    """A shift, a choice of bits and a floor leave nothing to build."""
    assert built(X, wiring) == {}


def test_a_sum_is_as_wide_as_the_bits_that_both_arguments_have():
    """Below the coarser argument the sum is wires, and copies of a sign are one place."""
    coarse = node(Cell.SHIFT, (0,), 8, 1, parameter=3)
    assert built(X, coarse, node(Cell.ADD, (0, 1), 13, 4))["add"] == (8,)
    constant = node(Cell.CONSTANT, (), 4, 4, parameter=5)
    assert built(X, constant, node(Cell.ADD, (0, 1), 9, 4)) == {"constant_sum": (8,), "constant_one": (2,)}


def test_comparison_with_a_constant_sees_the_bits_that_decide():
    """x < 2.0 of s8f4 looks at the three highest bits; x < 2.0625 may as well be told from 2.0."""
    two = node(Cell.CONSTANT, (), 7, 4, parameter=32)
    assert built(X, two, node(Cell.MIN, (0, 1)))["compare_constant"] == (3,)
    almost = node(Cell.CONSTANT, (), 7, 4, parameter=31)
    assert built(X, almost, node(Cell.MIN, (0, 1)))["compare_constant"] == (3,)
    odd = node(Cell.CONSTANT, (), 7, 4, parameter=37)
    assert built(X, odd, node(Cell.MIN, (0, 1)))["compare_constant"] == (7,)


def test_registers_carry_what_is_read_and_nothing_else():
    """Four bits of x are read two stages later: four bits for two stages, and the eight of the sum."""
    low = node(Cell.LOW_BITS, (0,), 5, 4, parameter=4, stage=2)
    total = node(Cell.ADD, (1, 1), 6, 4, stage=2)
    found = structure((X, low, total), 3)
    assert dict(found.registers) == {2: 4, 1: 6}
    assert found.register_bits == 2 * 4 + 6


def test_a_signal_and_its_copies_are_carried_once():
    """x and x shifted are the same eight bits."""
    shifted = node(Cell.SHIFT, (0,), frac=2, parameter=2)
    total = node(Cell.SUB, (0, 1), 11, 4, stage=1)
    assert structure((X, shifted, total), 2).register_bits == 8 + 11


def test_equal_logic_is_built_once_and_unread_logic_not_at_all():
    """Two gates of the same bits are one; a gate behind which nobody reads is none."""
    gate = node(Cell.GATE, (0, 0), 8, 4, parameter=1)
    other = Node(Cell.GATE, (0, 0), FixedFormat(8, 4), "again", "part", parameter=1)
    both = structure((X, gate, other, node(Cell.MAX, (1, 2), 9, 4)), 1).operations
    assert [count for (kind, _), count in both if kind == "gate"] == [1]
    assert built(X, gate, node(Cell.NEG, (0,), 9)) == {"negate": (8,)}


def test_a_table_has_the_columns_that_are_read_and_no_constant_ones():
    """Of entries 0, 2, 4, 6 the lowest column and the sign are constant."""
    table = node(Cell.TABLE, (0,), 4, 0, parameter=0, table=(0, 2, 4, 6))
    (found,) = structure((X, table), 1).tables
    assert found.address_bits == 2
    assert sorted(np.frombuffer(c, dtype=np.uint8).tolist() for c in found.columns if any(c)) == [
        [0, 0, 1, 1],
        [0, 1, 0, 1],
    ]


@settings(max_examples=60)
@given(datapath=datapaths())
def test_registers_are_never_more_than_every_signal_in_full(datapath):
    """Bits that live in registers are at most those of the signals that do, and the output's are there."""
    found = structure(datapath.nodes, datapath.latency)
    whole = sum(n.fmt.width * stages for n, stages in zip(datapath.nodes, datapath.lifetimes(), strict=True))
    assert found.register_bits <= whole
    assert all(count > 0 and all(width > 0 for width in size) for (_, size), count in found.operations)
