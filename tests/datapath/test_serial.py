"""Datapaths survive JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from sample_datapaths import datapaths, every_cell
from small_packages import offset_kernel

from hwnorm.datapath.serial import from_json, to_json
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target


@pytest.mark.parametrize("text", ["2.58*tanh(x)+0.24", "clip(x, 1.3)*sigmoid(x)", "x"])
def test_a_datapath_reads_back_equal(text):
    """Through JSON text it is equal in every field and computes the same."""
    fmt = FixedFormat(10, 6)
    datapath = lower(parse(text), fmt, fmt, load_target("xcup"), 200.0)
    again = from_json(json.loads(json.dumps(to_json(datapath), allow_nan=False)))
    assert again == datapath
    assert hash(again) == hash(datapath)
    np.testing.assert_array_equal(again.evaluate(fmt.codes()), datapath.evaluate(fmt.codes()))


@settings(max_examples=60, phases=[Phase.generate])
@given(datapaths())
def test_whatever_can_be_emitted_can_be_read(datapath):
    """The law: no datapath that the hardware can be is refused."""
    assert from_json(json.loads(json.dumps(to_json(datapath)))) == datapath


def test_every_cell_can_be_read():
    assert from_json(to_json(every_cell())) == every_cell()


def plain() -> dict:
    return json.loads(json.dumps(to_json(offset_kernel())))


def put(data: dict, place: str, value: object) -> dict:
    """Set a field such as ``nodes.2.args``; a value of ... removes it."""
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner: Any = data
    for part in way:
        inner = inner[part]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return data


MALFORMED = [
    ("latency", ..., "latency: missing"),
    ("latency", 0, "latency: 0; a kernel's result is registered"),
    ("latency", "two", r"latency: .*integer.*\(found \"two\"\)"),
    ("clock_mhz", -1.0, "clock_mhz: -1; a positive number"),
    ("clock_mhz", float("nan"), "clock_mhz: nan"),
    ("input.width", 40, "input.width: 40 bits; a kernel's input has 2 to 32"),
    ("output", {"width": 8, "frac": 4}, "output: s8f4; the last node has s9f4"),
    ("certificate.codes", 0, "certificate.codes: 0"),
    ("certificate.max_error_ulp", float("inf"), "certificate.max_error_ulp: inf"),
    ("expression", "x\nmodule", "expression: holds characters"),
    ("nodes", [], "nodes: empty"),
    ("nodes.0.fmt.width", 63, "nodes.0.fmt.*63 bits; a signal has 1 to 62"),
    ("nodes.0.fmt.width", 9, "nodes.0.fmt: s9f4; the input has s8f4"),
    ("nodes.1.cell", "divide", "nodes.1.cell: "),
    ("nodes.1.parameter", 128, "nodes.1.parameter: 128; s8f4 holds -128 to 127"),
    ("nodes.1.table", [1], "nodes.1.table: 1 entries; the cell constant has none"),
    ("nodes.2.args", [0], "nodes.2.args: 1; the cell add has 2"),
    ("nodes.2.args", [0, 2], "nodes.2.args: 2; an argument is an earlier node, 0 to 1"),
    ("nodes.2.args", [0, -1], "nodes.2.args: -1;"),
    ("nodes.2.stage", 2, "nodes.2.stage: 2; with a latency of 2, 0 to 1"),
    ("nodes.2.rounding", "up", "nodes.2.rounding: "),
    ("nodes.2.name", ..., "nodes.2.name: missing"),
    ("nodes.2.part", "x\n`include", "nodes.2.name: it, the part or"),
    ("nodes.2.purpose", "x\n`include", "nodes.2.name: it, the part or"),
    ("nodes.1.fmt.frac", 60, "nodes.2.args: aligned, they have 64 bits"),
    ("nodes.1.fmt.frac", 900, "nodes.1.fmt.frac: 900"),
]


@pytest.mark.parametrize(("place", "value", "message"), MALFORMED)
def test_what_is_malformed_is_refused_by_its_field(place, value, message):
    """One line that begins with the field."""
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        from_json(put(plain(), place, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "table", "message"),
    [
        (0, [1, 2, 3], "table: 3 entries; a power of two"),
        (0, [], "table: 0 entries"),
        (0, [0] * (1 << 15), "table: 32768 entries"),
        (0, [0, 1 << 61], "table: entry 2305843009213693952; at most 62 bits"),
        (-1, [0, 1], "parameter: -1; a number of bits"),
        (61, [0] * 4, "table: 4 entries from bit 61 up"),
    ],
)
def test_tables_fit_their_addresses(parameter, table, message):
    node = {"cell": "table", "args": [0], "parameter": parameter, "table": table, "stage": 0}
    data = put(plain(), "nodes.1", plain()["nodes"][1] | node)
    with pytest.raises(ValueError, match=f"^nodes.1.{message}"):
        from_json(data)


def test_a_node_is_not_computed_before_its_arguments():
    data = put(plain(), "nodes.2.stage", 0)
    with pytest.raises(ValueError, match=r"^nodes\.2\.stage: 0; its argument 0 is computed in 1"):
        from_json(put(data, "nodes.0.stage", 1))


def test_a_datapath_is_an_object():
    with pytest.raises(ValueError, match="found 3"):
        from_json(3)
