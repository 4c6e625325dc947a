"""Datapaths survive JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

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
