"""Counting of cells: each family's own names, weights, and the states of a liberty file."""

from __future__ import annotations

import pytest

from hwnorm.errors import InputError
from hwnorm.synth.flow import Counts, count_cells, design_counts, module_counts, state_cells, technology
from hwnorm.targets.target import Flow, liberty_path


@pytest.mark.parametrize(
    ("family", "cells", "expected"),
    [
        (
            "xilinx",
            {"LUT2": 3, "LUT6": 2, "INV": 1, "MUXF7": 9, "CARRY4": 9, "SRL16E": 4, "FDRE": 5, "RAMB36E2": 1},
            Counts(10, 5, 0, 2),
        ),
        ("ecp5", {"LUT4": 7, "PFUMX": 3, "CCU2C": 2, "TRELLIS_FF": 6, "MULT18X18D": 1}, Counts(11, 6, 1, 0)),
        (
            "ice40",
            {"SB_LUT4": 8, "SB_CARRY": 7, "SB_DFFE": 2, "SB_DFFSR": 1, "SB_RAM40_4K": 3},
            Counts(8, 3, 0, 3),
        ),
    ],
)
def test_cells_are_counted_by_what_they_take(family, cells, expected):
    """A carry cell of ECP5 is two LUTs, a 36 kbit memory two blocks, a wide multiplexer free."""
    assert count_cells(family, cells, 0.0, frozenset()) == expected


def test_flip_flops_of_standard_cells_are_those_of_the_liberty_file():
    """The shipped library has one cell that holds a state; the area is taken as it is."""
    states = state_cells(liberty_path(Flow(technology="liberty", liberty="nand2.lib")))
    assert states == {"DFF"}
    assert count_cells("liberty", {"DFF": 4, "NAND2": 9}, 31.7, states) == Counts(0, 4, 0, 0, 31.7)


def test_modules_are_counted_without_and_the_design_with_their_children():
    """Yosys' statistics: names lose their backslash."""
    stat = {
        "modules": {"\\top": {"num_cells_by_type": {"LUT4": 1, "sub": 1}}},
        "design": {"num_cells_by_type": {"LUT4": 4}},
    }
    assert module_counts("ecp5", stat) == {"top": Counts(1, 0, 0, 0)}
    assert design_counts("ecp5", stat) == Counts(4, 0, 0, 0)


def test_the_area_of_children_is_not_their_parents():
    """Yosys adds the area of submodules to that of the module that has them; here each has its own."""
    stat = {
        "modules": {
            "\\top": {"num_cells_by_type": {"NAND2": 3, "sub": 2}, "area": 23.0},
            "\\sub": {"num_cells_by_type": {"NAND2": 10}, "area": 10.0},
        }
    }
    found = module_counts("liberty", stat)
    assert (found["top"].area, found["sub"].area) == (3.0, 10.0)


def test_what_is_no_liberty_file_is_refused_by_name(tmp_path):
    """A file without flip-flops, and one that is not there."""
    path = tmp_path / "cells.lib"
    path.write_text("library (x) { cell (NAND2) { area : 1; } }")
    with pytest.raises(InputError, match=r"cells.lib: has no cell with a flip-flop"):
        state_cells(path)
    with pytest.raises(InputError, match=r"none.lib: not there; a liberty file was expected"):
        liberty_path(Flow(technology="liberty", liberty="none.lib"))


def test_an_unknown_technology_is_refused_with_those_there_are():
    """A typing error in a target's file is named."""
    with pytest.raises(
        InputError, match="technology 'ecp6': unknown; there are xilinx, ecp5, ice40, liberty"
    ):
        technology("ecp6")
