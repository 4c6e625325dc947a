"""A choice comes back from its file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from run_folders import choice_of, straight

from hwnorm.cost.cost import resources
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.network.choice import Chosen, read_choice
from hwnorm.network.replacement import functions_of
from hwnorm.targets.target import load_target

FORMATS = FixedFormat(8, 5), FixedFormat(8, 5)


def chosen(layer: str, expression: str) -> Chosen:
    target = load_target("xcup")
    datapath = lower(parse(expression), *FORMATS, target, 250.0)
    used = resources(datapath.nodes, datapath.latency, target)
    r2 = {"r2": 0.9, "r2_bit_true": 0.89, "ceiling_r2": 0.95}
    built = {"resources": used, "datapath": datapath}
    return Chosen(layer=layer, top=f"top_{layer}", expression=expression, family="evolved", **r2, **built)


def test_choices_come_back_with_their_datapaths(tmp_path):
    """Every field, and a datapath that computes the same codes, in the order of the file."""
    made = [chosen("b", "tanh(x)"), chosen("a", "clip(0.75*x, 1)")]
    path = tmp_path / "choice.json"
    choice_of(*made).write(path, 0, {})
    found = read_choice(path)
    assert found == made
    for a, b in zip(found, made, strict=True):
        codes = a.datapath.input.codes()
        np.testing.assert_array_equal(a.datapath.evaluate(codes), b.datapath.evaluate(codes))


@pytest.mark.parametrize(
    "spoil", [lambda c: c.pop("r2"), lambda c: c.pop("datapath"), lambda c: c.update(z=1)]
)
def test_a_damaged_choice_is_named(tmp_path, spoil):
    """A field that is missing or unknown: one line with the file."""
    path = tmp_path / "choice.json"
    choice_of(chosen("a", "tanh(x)")).write(path, 0, {})
    data = json.loads(path.read_text())
    spoil(data["layers"][0])
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"layers\.0") as caught:
        read_choice(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_folded_layer_has_nothing_to_build(tmp_path):
    """It comes back as folded, and what stands in for it is its expression, bit-true or not."""
    folded = straight("b", "0.5*x + 0.25")
    made = [chosen("a", "tanh(x)"), folded]
    path = tmp_path / "choice.json"
    choice_of(*made).write(path, 0, {})
    entries = json.loads(path.read_text())["layers"]
    assert [entry["folded"] for entry in entries] == [False, True]
    found = read_choice(path)
    assert found == made
    assert [c.folded for c in found] == [False, True]
    for fixed in (False, True):
        functions = functions_of(found, fixed)
        assert isinstance(functions["a"], FixedPointFunction) == fixed
        assert float(functions["b"](torch.tensor(2.0))) == 1.25


def test_a_layer_that_says_folded_and_has_a_datapath_is_damaged(tmp_path):
    """The two may not disagree: what would be built?"""
    path = tmp_path / "choice.json"
    choice_of(chosen("a", "tanh(x)")).write(path, 0, {})
    path.write_text(path.read_text().replace('"folded": false', '"folded": true'))
    with pytest.raises(InputError, match="folded is True, and its datapath says otherwise"):
        read_choice(path)
