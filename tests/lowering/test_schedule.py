"""Pipelining: stages as the clock asks for them, wires where they cost least."""

from __future__ import annotations

import pytest

from hwnorm.datapath.ir import Cell, Node
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.schedule import schedule
from hwnorm.targets.target import load_target

FMT = FixedFormat(8, 4)
XCUP = load_target("xcup")
REGISTER = XCUP.register_ns


def node(cell: Cell, *args: int) -> Node:
    return Node(cell, args, FMT, f"{cell}", "part")


CHAIN = [node(Cell.INPUT), node(Cell.NEG, 0), node(Cell.ABS, 1), node(Cell.ADD, 2, 0)]


def stages(nodes: list[Node], delays: list[float], period: float) -> list[int]:
    staged, latency = schedule(nodes, delays, 1000 / (period + REGISTER), XCUP)
    assert latency == staged[-1].stage + 1
    return [n.stage for n in staged]


@pytest.mark.parametrize(
    ("period", "expected"), [(3.01, [0, 0, 0, 0]), (2.01, [0, 0, 0, 1]), (1.01, [0, 0, 1, 2])]
)
def test_cells_join_a_stage_while_they_fit(period, expected):
    """Three cells of 1 ns take one, two or three stages, by the period less the register's time."""
    assert stages(CHAIN, [0.0, 1.0, 1.0, 1.0], period) == expected


def test_shifts_and_constants_move_to_their_first_use():
    """A wire is not carried in registers: it is made where it is needed."""
    nodes = [*CHAIN[:3], node(Cell.SHIFT, 0), node(Cell.CONSTANT), node(Cell.ADD, 2, 3), node(Cell.ADD, 5, 4)]
    assert stages(nodes, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0], 1.01) == [0, 0, 1, 2, 3, 2, 3]


def test_a_cell_slower_than_the_clock_is_named_with_the_clock_it_could_meet():
    """The message says which cell, of what, and the highest clock."""
    with pytest.raises(InputError, match=r"clock 500 MHz: abs abs \(part\) takes 9.65 ns .* at most 100 MHz"):
        schedule(CHAIN, [0.0, 1.0, 10 - REGISTER, 1.0], 500.0, XCUP)
