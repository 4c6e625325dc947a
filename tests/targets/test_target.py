"""Targets: measured rows are hit exactly, what lies between follows them, and a wrong file is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.errors import InputError
from hwnorm.targets.target import KINDS, load_target

XCUP = load_target("xcup")


def weighed(kind: str, *size: int) -> float:
    cost = XCUP.cost(kind, *size)
    return XCUP.weights.lut * cost.lut + XCUP.weights.dsp * cost.dsp


@pytest.mark.parametrize("kind", KINDS)
def test_measured_rows_are_hit_exactly(kind):
    """At a measured size the cost is the row's, and the delay its levels times a level's."""
    for row in XCUP.cells[kind]:
        cost = XCUP.cost(kind, *row.size)
        assert (cost.lut, cost.dsp) == (row.lut, row.dsp)
        assert cost.delay_ns == pytest.approx(row.levels * XCUP.level_ns)


@pytest.mark.parametrize("kind", KINDS)
def test_wider_cells_never_cost_less(kind):
    """Along each width, within the measured sizes and beyond, LUT-equivalents do not fall."""
    for other in [()] if KINDS[kind] == 1 else [(3,), (4,), (8,), (14,)]:
        for width in range(1, 40):
            assert weighed(kind, width, *other) <= weighed(kind, width + 1, *other) * (1 + 1e-9)
            assert weighed(kind, *other, width) <= weighed(kind, *other, width + 1) * (1 + 1e-9)


@given(width=st.integers(8, 10))
def test_between_two_rows_the_cost_is_between(width):
    """The cost of a width that was not measured lies on the line between its neighbours."""
    low, high = weighed("add", 8), weighed("add", 10)
    assert weighed("add", width) == pytest.approx(low + (high - low) * (width - 8) / 2)


def test_a_table_doubles_with_every_address_bit_beyond_the_measured_ones():
    """A table of 2**14 entries is 16 of 2**10, not 1.4."""
    most = max(row.size[0] for row in XCUP.cells["table"])
    assert weighed("table", most + 4, 8) == pytest.approx(16 * weighed("table", most, 8))
    assert XCUP.cost("table", most + 4, 8).delay_ns > XCUP.cost("table", most, 8).delay_ns


def test_the_users_own_target_loads_by_path(tmp_path):
    """A copy of the shipped file under another name is the same target."""
    path = tmp_path / "mine.json"
    path.write_text(XCUP.model_dump_json())
    assert load_target(str(path)).model_dump() == XCUP.model_dump()


def changed(**changes: object) -> str:
    return json.dumps(XCUP.model_dump() | changes, default=list)


def cells(**changes: object) -> dict[str, object]:
    return XCUP.model_dump()["cells"] | changes


ROW = {"size": [3], "lut": 1, "dsp": 0, "levels": 1}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (changed(level_ps=450), "level_ps: Extra inputs are not permitted"),
        (changed(level_ns="fast"), "level_ns: Input should be a valid number"),
        (
            json.dumps({k: v for k, v in XCUP.model_dump().items() if k != "weights"}),
            "weights: Field required",
        ),
        (changed(schema_version=2), "schema_version 2; this hwnorm reads 1"),
        (changed(cells={k: v for k, v in cells().items() if k != "mul"}), "missing or unknown: mul"),
        (changed(cells=cells(add=[])), "cells.add: rows must fill a grid of 1 width"),
        (changed(cells=cells(mul=[ROW])), "cells.mul: rows must fill a grid of 2 width"),
        (changed(cells=cells(add=[ROW | {"area": 1}])), r"cells.add.0.area: Extra inputs"),
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


def test_an_unknown_target_is_named_with_those_there_are():
    """A name or a path that does not exist is refused and the shipped targets are listed."""
    for name in ("spartan", "no/such.json"):
        with pytest.raises(InputError, match=r"unknown; there are .*xcup"):
            load_target(name)


def test_the_delays_say_that_they_are_estimates():
    """The shipped file says which tool measured it and where its delays come from."""
    assert "Yosys" in XCUP.measured_with
    assert "estimate" in XCUP.delay_source
