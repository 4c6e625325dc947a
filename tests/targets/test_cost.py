"""The cost of a datapath: wiring is free, and every part that the hardware has is counted."""

from __future__ import annotations

import pytest

from hwnorm.datapath.ir import Cell, Node
from hwnorm.datapath.lower import lower
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.targets.cost import Resources, cell_costs, resources
from hwnorm.targets.target import CellCost, load_target

XCUP = load_target("xcup")
X = Node(Cell.INPUT, (), FixedFormat(8, 4), "x", "x")


def cost_of(*nodes: Node) -> CellCost:
    return cell_costs(nodes, XCUP)[-1]


def kernel(text: str, fmt: str = "s10f6", clock_mhz: float = 200.0) -> Resources:
    datapath = lower(parse(text), FixedFormat.parse(fmt), FixedFormat.parse(fmt), XCUP, clock_mhz)
    return resources(datapath.nodes, datapath.latency, XCUP)


@pytest.mark.parametrize("cell", [Cell.SHIFT, Cell.LOW_BITS])
def test_wiring_is_free(cell):
    """A shift and a choice of bits need no LUT and no time."""
    assert cost_of(X, Node(cell, (0,), FixedFormat(8, 2), "n", "n", parameter=2)) == CellCost(0, 0, 0)


def test_a_power_of_two_costs_nothing():
    """x/2 needs no more LUTs than the rounding of its output; 0.75*x needs an adder, 0.7491*x more."""
    half, easy, hard = (kernel(text).lut for text in ("0.5*x", "0.75*x", "0.7491*x"))
    assert half <= 1 < easy < hard
    assert kernel("2*x - x").lut > kernel("x").lut == 0


@pytest.mark.parametrize("cell", [Cell.ADD, Cell.SUB])
def test_bits_below_the_coarser_argument_are_wires(cell):
    """a + b, b coarser by three bits: the adder is three bits narrower than the sum."""
    coarse = Node(Cell.INPUT, (), FixedFormat(8, 1), "c", "c")
    total = Node(cell, (0, 1), FixedFormat(13, 4), "n", "n")
    assert cost_of(X, coarse, total) == XCUP.cost("add", 10)
    # In c - x the low bits are those of -x: no wires.
    if cell is Cell.SUB:
        assert cost_of(coarse, X, total) == XCUP.cost("add", 13)


def test_each_cell_is_priced_by_its_kind_and_widths():
    """Choices with a constant are clamps; a product of a signal with itself is a square."""
    limit = Node(Cell.CONSTANT, (), FixedFormat(4, 1), "c", "c", parameter=5)
    other = Node(Cell.INPUT, (), FixedFormat(12, 4), "z", "z")
    out = FixedFormat(20, 8)
    assert cost_of(X, limit, Node(Cell.MIN, (0, 1), out, "n", "n")) == XCUP.cost("clamp", 8)
    assert cost_of(X, other, Node(Cell.MAX, (0, 1), out, "n", "n")) == XCUP.cost("select", 12)
    assert cost_of(X, other, Node(Cell.MUL, (1, 0), out, "n", "n")) == XCUP.cost("mul", 8, 12)
    assert cost_of(X, Node(Cell.MUL, (0, 0), out, "n", "n")) == XCUP.cost("square", 8)
    table = Node(Cell.TABLE, (0,), FixedFormat(9, 0), "n", "n", 3, tuple(range(32)))
    assert cost_of(X, table) == XCUP.cost("table", 5, 9)
    assert cost_of(X, Node(Cell.NEG, (0,), out, "n", "n")) == XCUP.cost("neg", 20)


def test_rounding_and_saturation_are_paid_where_they_happen():
    """Cutting bits off is free; rounding half up is an increment, saturation a clamp, both the sum."""
    to = FixedFormat(5, 2)

    def resized(rounding, overflow):
        return cost_of(X, Node(Cell.RESIZE, (0,), to, "n", "n", rounding=rounding, overflow=overflow))

    assert resized("trn", "wrap") == CellCost(0, 0, 0)
    assert resized("rnd", "wrap").lut == XCUP.cost("round", 6).lut
    assert resized("trn", "sat").lut == XCUP.cost("saturate", 5).lut
    both = resized("rnd", "sat")
    assert both.delay_ns == resized("rnd", "wrap").delay_ns + resized("trn", "sat").delay_ns


def test_registers_dsps_and_latency_count_by_the_targets_weights():
    """The one figure is the weighted sum of LUTs, flip-flops, DSP blocks and cycles."""
    fmt, weights = FixedFormat(12, 8), XCUP.weights
    datapath = lower(parse("tanh(x)*x"), fmt, fmt, XCUP, 200.0)
    costs = cell_costs(datapath.nodes, XCUP)
    found = resources(datapath.nodes, datapath.latency, XCUP)
    pairs = zip(datapath.nodes, datapath.lifetimes(), strict=True)
    assert found.ff == sum(node.fmt.width * stages for node, stages in pairs)
    lut, dsp = sum(c.lut for c in costs), sum(c.dsp for c in costs)
    expected = (
        weights.lut * lut + weights.dsp * dsp + weights.ff * found.ff + weights.cycle * datapath.latency
    )
    assert found.cost == pytest.approx(expected, abs=0.1)
    assert found.to_json() == {"lut": found.lut, "ff": found.ff, "dsp": found.dsp, "cost": found.cost}


@pytest.mark.parametrize("text", ["0.7491*x", "abs(x) - 1", "clip(x, 1.3)"])
def test_wider_formats_cost_more(text):
    """The same expression with more bits is not cheaper."""
    assert kernel(text, "s8f4").cost < kernel(text, "s12f8").cost < kernel(text, "s16f12").cost
