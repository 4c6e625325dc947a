"""The cost of a datapath: wiring is free, and every part that the hardware has is counted."""

from __future__ import annotations

import pytest

from hwnorm.cost.cost import (
    Resources,
    area_by_kind,
    cycles_by_kind,
    delays,
    fmax_mhz,
    longest_path,
    price,
    resources,
    stage_resources,
)
from hwnorm.cost.structure import structure
from hwnorm.datapath.ir import Cell, Node
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target, shipped_targets

XCUP = load_target("xcup")
X = Node(Cell.INPUT, (), FixedFormat(8, 4), "x", "x")


def kernel(text: str, fmt: str = "s10f6", clock_mhz: float = 200.0) -> Resources:
    datapath = lower(parse(text), FixedFormat.parse(fmt), FixedFormat.parse(fmt), XCUP, clock_mhz)
    return resources(datapath.nodes, datapath.latency, XCUP)


@pytest.mark.parametrize("cell", [Cell.SHIFT, Cell.LOW_BITS])
def test_wiring_is_free(cell):
    """A shift and a choice of bits need no LUT, no time, and no more registers than the bits have."""
    wire = Node(cell, (0,), FixedFormat(8, 2), "n", "n", parameter=2)
    found = resources((X, wire), 1, XCUP)
    assert (found.lut, found.dsp) == (0, 0)
    assert found.ff <= 8
    assert delays((X, wire), XCUP)[1] == 0


def test_a_power_of_two_costs_nothing():
    """x/2 needs no more LUTs than the rounding of its output; 0.75*x needs an adder, 0.7491*x more."""
    half, easy, hard = (kernel(text).lut for text in ("0.5*x", "0.75*x", "0.7491*x"))
    assert half < easy < hard
    assert kernel("2*x - x").lut > kernel("x").lut == 0


@pytest.mark.parametrize("name", shipped_targets())
def test_the_cost_is_the_weighted_sum_of_what_the_target_measured(name):
    """Operations alone times their context, tables, registers where they have an area, weights over all."""
    target = load_target(name)
    fmt = FixedFormat(12, 8)
    datapath = lower(parse("0.7*tanh(x)*x - abs(x)"), fmt, fmt, target, 30.0, fuse=False)
    built = structure(datapath.nodes, datapath.latency)
    found = price(built, datapath.latency, target)
    operations = sum(
        count * target.context[kind] * target.cost(kind, *size).area
        for (kind, size), count in built.operations
    )
    weights = target.weights
    if target.unit == "LUT":
        assert found.area == 0
        assert found.lut > operations  # tables come on top
        area = found.lut
    else:
        assert found.lut == 0
        assert found.area > operations + target.register_area * found.ff
        area = found.area
    expected = (
        weights.area * area
        + weights.ff * found.ff
        + weights.dsp * found.dsp
        + weights.cycle * datapath.latency
    )
    assert found.cost == pytest.approx(expected, abs=1.0)


def test_long_chains_of_registers_become_shift_registers_where_the_family_has_them():
    """Eight bits over five stages: forty flip-flops on ECP5, eight LUTs and none on UltraScale+."""
    late = Node(Cell.NEG, (0,), FixedFormat(9, 4), "n", "n", stage=5)
    ecp5 = load_target("ecp5")
    assert resources((X, late), 6, ecp5).ff == 8 * 5 + 9
    found = resources((X, late), 6, XCUP)
    assert found.ff == 9
    assert found.lut == pytest.approx(8 + XCUP.context["negate"] * XCUP.cost("negate", 9).area, abs=1)


def test_lanes_share_the_streams_control():
    """Four lanes take four cores and one wider buffer: less than four stages of one lane."""
    fmt = FixedFormat(12, 8)
    datapath = lower(parse("0.7*tanh(x)"), fmt, fmt, XCUP, 200.0)
    core = resources(datapath.nodes, datapath.latency, XCUP)
    one, four = (stage_resources(datapath, lanes, XCUP) for lanes in (1, 4))
    assert one.lut > core.lut
    assert 4 * core.lut < four.lut < 4 * one.lut


def test_the_clock_follows_the_slowest_stage():
    """A stage of two sums is slower than one of one; a cut between them makes the pipeline faster."""
    first = Node(Cell.NEG, (0,), FixedFormat(9, 4), "a", "a")
    together = (X, first, Node(Cell.NEG, (1,), FixedFormat(10, 4), "b", "b"))
    apart = (X, first, Node(Cell.NEG, (1,), FixedFormat(10, 4), "b", "b", stage=1))
    assert longest_path(together, XCUP) == pytest.approx(sum(delays(together, XCUP)))
    assert fmax_mhz(together, XCUP) < fmax_mhz(apart, XCUP)
    assert fmax_mhz(together, XCUP) == pytest.approx(1000 / (XCUP.register_ns + longest_path(together, XCUP)))


@pytest.mark.parametrize("text", ["0.7491*x", "abs(x) - 1", "clip(x, 1.3)"])
def test_wider_formats_cost_more(text):
    """The same expression with more bits is not cheaper."""
    assert kernel(text, "s8f4").cost < kernel(text, "s12f8").cost < kernel(text, "s16f12").cost


@pytest.mark.parametrize("name", shipped_targets())
@pytest.mark.parametrize("text", ["0.75*x", "clip(2*x, 2.5)", "2.5*tanh(0.75*x) + 0.25", "x*x*x - x"])
def test_the_parts_sum_to_the_whole(name, text):
    """Area by kinds sums to the predicted area, cycles by kinds to the latency, on every target."""
    target = load_target(name)
    datapath = lower(parse(text), FixedFormat(10, 6), FixedFormat(10, 6), target, 25.0)
    whole = resources(datapath.nodes, datapath.latency, target)
    area = area_by_kind(datapath.nodes, datapath.latency, target)
    assert min(area.values()) > 0
    assert sum(area.values()) == pytest.approx(whole.lut + whole.area, abs=0.5)
    cycles = cycles_by_kind(datapath.nodes, datapath.latency, target)
    assert min(cycles.values()) >= 0
    assert sum(cycles.values()) == pytest.approx(datapath.latency)


def test_parts_bear_the_names_of_what_is_built():
    """A magnitude's and a table's area and time are their own; a stage without logic is the register's."""
    magnitude = Node(Cell.ABS, (0,), FixedFormat(8, 4), "m", "m")
    assert set(area_by_kind((X, magnitude), 1, XCUP)) == {"magnitude"}
    table = Node(Cell.TABLE, (0,), FixedFormat(4, 2), "t", "t", table=(0, 3, 5, 1, 7, 2, 2, 6) * 2)
    assert set(area_by_kind((X, table), 1, XCUP)) == {"table"}
    assert set(cycles_by_kind((X, table), 2, XCUP)) == {"skid", "table", "register"}
    assert cycles_by_kind((X, table), 2, XCUP)["register"] == 1.0
