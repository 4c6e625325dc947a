"""Capture sees what the norms see, and leaves the model as it was."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import hwnorm.capture.hooks
from hwnorm.capture.hooks import capture
from hwnorm.data.images import load_images
from hwnorm.errors import InputError
from hwnorm.network.norms import find_norms


def hooks_left(model) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_profiles_hold_the_norms_inputs_and_outputs(small_vit):
    model = small_vit()
    sites = find_norms(model)
    images = load_images(None, "train", model).limited(50)
    profiles = capture(model, images, sites, batch=20)
    assert list(profiles) == [site.name for site in sites]

    seen = []
    model.norm.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        for pixels, _ in images.batches(20):
            model(pixels)
    x = torch.cat(seen)[:, :1]  # the head reads the class token alone
    y = F.layer_norm(x, (32,), eps=model.norm.eps)
    profile = profiles["norm"]
    assert profile.images == 50
    assert profile.tokens == 50
    assert profiles["blocks.0.norm1"].tokens == 50 * 17
    assert profile.weight @ profile.x == pytest.approx(float(x.double().sum()), abs=1e-7 * x.numel())
    assert profile.sum_yy.sum() == pytest.approx(float(y.double().square().sum()), rel=1e-6)
    assert (profile.x_min, profile.x_max) == pytest.approx((float(x.min()), float(x.max())), rel=1e-5)


def test_memory_does_not_grow_with_the_images(small_vit):
    model = small_vit()
    images = load_images(None, "train", model)
    few, more = (capture(model, images.limited(n), find_norms(model), batch=10) for n in (10, 60))
    assert few["norm"].count.shape == more["norm"].count.shape
    np.testing.assert_array_equal(few["norm"].edges, more["norm"].edges)


def test_nan_activations_name_the_layer_and_leave_no_hook(small_vit):
    model = small_vit()
    sites = find_norms(model)
    with torch.no_grad():
        model.blocks[1].attn.proj.bias[0] = float("nan")
    with pytest.raises(InputError, match=r"layer 'blocks\.1\.norm2': .*NaN"):
        capture(model, load_images(None, "train", model).limited(5), sites)
    assert not hooks_left(model)


def test_an_interrupt_leaves_no_hook(small_vit, monkeypatch):
    model = small_vit()
    sites = find_norms(model)

    def interrupted(pixels):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        capture(model, load_images(None, "train", model).limited(5), sites)
    assert not hooks_left(model)


def test_it_does_not_matter_how_many_batches_are_counted_together(small_vit, monkeypatch):
    model = small_vit()
    images = load_images(None, "train", model).limited(90)
    monkeypatch.setattr(hwnorm.capture.hooks, "POINTS", 1 << 10)
    found = []
    for together in (1, 3, 100):
        monkeypatch.setattr(hwnorm.capture.hooks, "TOGETHER", together)
        found.append(capture(model, images, find_norms(model), batch=7))
    for name, profile in found[0].items():
        assert profile.images == 90
        for other in (found[1][name], found[2][name]):
            for field in fields(profile):
                ours, theirs = getattr(profile, field.name), getattr(other, field.name)
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_model_that_insists_on_single_precision_is_captured_in_it(small_vit):
    model = small_vit()
    images = load_images(None, "train", model).limited(20)
    expected = capture(model, images, find_norms(model))["norm"]
    model.register_forward_pre_hook(lambda module, args: (args[0].float(),))
    found = capture(model, images, find_norms(model))["norm"]
    assert found.tokens == expected.tokens
    assert found.ceiling_r2 == pytest.approx(expected.ceiling_r2, abs=1e-2)


def test_of_many_images_every_third_counts_and_of_few_all(small_vit, monkeypatch):
    model = small_vit()
    images = load_images(None, "train", model)
    monkeypatch.setattr(hwnorm.capture.hooks, "IMAGES", 10)
    counted = [capture(model, images.limited(n), find_norms(model))["norm"].images for n in (8, 19, 20, 60)]
    assert counted == [8, 19, 10, 20]
