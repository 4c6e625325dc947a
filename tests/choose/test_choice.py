"""A choice comes back from its file, and the stage chooses from the fronts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hwnorm.choose.choice import Chosen, read_choice
from hwnorm.choose.stage import choose
from hwnorm.datapath.lower import lower
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.files import write_artefact
from hwnorm.fixed import FixedFormat
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.run.folder import RunFolder
from hwnorm.run.settings import RunSettings
from hwnorm.search.front import Point
from hwnorm.targets.cost import resources
from hwnorm.targets.target import load_target

FORMATS = FixedFormat(8, 5), FixedFormat(8, 5)


def tanh_profile() -> LayerProfile:
    """Two thousand points of y = tanh(x)."""
    x = torch.linspace(-3.5, 3.5, 2000)
    profile = LayerProfile.empty(1, bin_edges(x))
    profile.update(x, x.tanh(), images=1)
    return profile


def chosen(layer: str, expression: str) -> Chosen:
    target = load_target("xcup")
    datapath = lower(parse(expression), *FORMATS, target, 250.0)
    used = resources(datapath.nodes, datapath.latency, target)
    return Chosen(layer, f"top_{layer}", expression, 0.9, 0.89, 0.95, used, datapath)


def test_choices_come_back_with_their_datapaths(tmp_path):
    """Every field, and a datapath that computes the same codes, in the order of the file."""
    made = [chosen("b", "tanh(x)"), chosen("a", "clip(0.75*x, 1)")]
    path = tmp_path / "choice.json"
    write_artefact(path, "choice", 0, "", {"layers": [c.to_json() for c in made]})
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
    entry = json.loads(json.dumps(chosen("a", "tanh(x)").to_json()))
    spoil(entry)
    path = tmp_path / "choice.json"
    write_artefact(path, "choice", 0, "", {"layers": [entry]})
    with pytest.raises(InputError, match="damaged") as caught:
        read_choice(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_the_stage_takes_layers_in_order_and_follows_its_settings(tmp_path):
    """One entry a front, by position; a wider margin picks the cheaper function."""

    def run(within: float, sharpen: float = 1.0) -> RunFolder:
        settings = RunSettings(within=within, sharpen=sharpen)
        made = RunFolder.create(tmp_path / f"{within}-{sharpen}", settings, force=False)
        made.start()
        for position, layer in enumerate(("norm.b", "norm.a")):
            points = [
                Point(text, r2, r2, 0.0, 1 - r2, lut=1, ff=1, dsp=0, latency=1, max_error_ulp=0.5, cost=cost)
                for text, r2, cost in (("0.5*x", 0.8, 10.0), ("tanh(x)", 0.9, 90.0))
            ]
            body = {"position": position, "layer": layer, "input": "s8f5", "output": "s8f5"}
            body |= {"target": "xcup", "ceiling_r2": 0.9, "hypervolume": [1.0]}
            body |= {"points": [point.to_json() for point in points]}
            made.write(made.front(layer), "front", "", body)
            profile = tanh_profile().to_json()
            made.write(made.profile(layer), "profile", "", {"position": position, "layer": layer} | profile)
        choose(made)
        return made

    found = read_choice(run(0.01).choice)
    assert [(c.layer, c.top) for c in found] == [("norm.b", "hwnorm_norm_b"), ("norm.a", "hwnorm_norm_a")]
    assert [c.expression for c in found] == ["tanh(x)", "tanh(x)"]
    assert [c.expression for c in read_choice(run(0.2).choice)] == ["0.5*x", "0.5*x"]
    # Steeper than tanh(x), with the gain fitted again: the profile's y is tanh(x) itself.
    steeper = parse(read_choice(run(0.01, sharpen=2.0).choice)[0].expression)
    x = np.array([0.1, 3.0])
    small, large = steeper.numpy(x)
    assert large < 1.0
    assert small / large > 1.5 * np.tanh(0.1) / np.tanh(3.0)
