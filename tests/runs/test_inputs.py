"""The fingerprint of a run's inputs: all that a result depends on before any stage."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hwnorm.runs.inputs
from hwnorm.data.config import input_config
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import RunSettings


@pytest.fixture
def settings(tmp_path) -> RunSettings:
    """Of a run on a few images of noise."""
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28), np.uint8)
    labels = np.arange(8)
    arrays = {
        f"{split}_{what}": a
        for split in ("train", "test")
        for what, a in (("images", images), ("labels", labels))
    }
    np.savez(tmp_path / "images.npz", **arrays)
    return RunSettings(data=tmp_path / "images.npz")


def fingerprint(settings, model) -> str:
    inputs = Inputs(settings, model)
    return inputs.digest("model") + inputs.digest("training_images")


def test_the_same_inputs_have_the_same(settings, small_vit):
    assert fingerprint(settings, small_vit()) == fingerprint(settings, small_vit())


@pytest.mark.parametrize("name", ["mean", "std", "crop_pct", "interpolation"])
def test_how_images_are_prepared_counts(settings, small_vit, monkeypatch, name):
    """Mean, deviation, crop and interpolation: the network sees other pixels."""
    model = small_vit()
    before = fingerprint(settings, model)
    config = input_config(model)
    other = {"mean": (0.25,), "std": (0.5,), "crop_pct": 0.5, "interpolation": "nearest"}[name]
    assert config[name] != other
    monkeypatch.setattr(hwnorm.runs.inputs, "input_config", lambda _: config | {name: other})
    assert fingerprint(settings, model) != before


def test_network_and_weights_count(settings, small_vit):
    """A weight's last bit; heads, which no weight's shape tells; what the norms add to the variance."""
    found = {fingerprint(settings, small_vit())}
    model = small_vit()
    with torch.no_grad():
        bias = model.norm.bias
        bias[3] = torch.nextafter(bias[3], torch.tensor(9.0))
    found.add(fingerprint(settings, model))
    model = small_vit()
    model.norm.eps *= 2
    found.add(fingerprint(settings, model))
    found.add(fingerprint(settings.model_copy(update={"model": "another"}), small_vit()))
    found.add(fingerprint(settings.model_copy(update={"images": 7}), small_vit()))
    assert len(found) == 5
