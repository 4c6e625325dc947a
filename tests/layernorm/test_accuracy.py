"""The tokens that a LayerNorm is tried on are what they are said to be, and the reference is PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
from sample_designs import design

from hwnorm.data.images import load_images
from hwnorm.layernorm.accuracy import norm_inputs, torch_layer_norm, within
from hwnorm.layernorm.tokens import hard_tokens
from hwnorm.network.models import load_model


def test_hard_tokens_have_outliers_of_thirty_deviations():
    """Tokens of even number beyond the first eight; none of them is clipped."""
    made = design(768)
    tokens = hard_tokens(made, 100)[8::2].astype(float)
    bulk = np.median(np.abs(tokens - np.median(tokens, axis=1, keepdims=True)), axis=1) / 0.6745
    reach = np.abs(tokens - np.median(tokens, axis=1, keepdims=True)).max(axis=1) / bulk
    assert np.median(reach) == pytest.approx(30, rel=0.1)
    assert np.abs(tokens).max() < made.input.max_code


def test_norm_inputs_are_each_norms_own():
    """Two tokens side by side, normalized apart and scaled, are what the model's norm gives for them."""
    model = load_model("builtin", None)
    images = load_images(None, "test", model)
    name, tokens, gamma, beta = next(norm_inputs(model, images, 192, 5))
    halves = tokens.reshape(-1, 2, 96)
    y = (halves - halves.mean(-1, keepdims=True)) / np.sqrt(halves.var(-1, keepdims=True) + 1e-6)
    expected = (y * gamma[:96] + beta[96:]).reshape(-1, 96)
    pixels, _ = next(iter(images.batches(8)))
    found = []
    norm = model.get_submodule(name)
    handle = norm.register_forward_hook(
        lambda _m, _x, out: found.append(out.detach().reshape(-1, 96).numpy())
    )
    model(pixels)
    handle.remove()
    distance = np.abs(expected[:, None] - found[0][None]).max(axis=2).min(axis=1)
    assert distance.max() < 1e-4
    with pytest.raises(ValueError, match="multiple of the model's 96"):
        next(norm_inputs(model, images, 100, 5))


def test_the_reference_is_in_ulp_and_saturated():
    """A channel of +1 and one of -1 of two, and gammas that leave the range."""
    made = design(2, 1, eps=0.0)
    one = 1 << made.gamma.frac
    y = torch_layer_norm(made, np.array([[5, -5]]), np.array([one, one]), np.zeros(2))
    assert y.tolist() == [[1024.0, -1024.0]]
    small = design(2, 1, eps=0.0, output=type(made.output)(8, 7))
    y = torch_layer_norm(small, np.array([[5, -5]]), np.array([4 * one, 4 * one]), np.zeros(2))
    assert y.tolist() == [[127, -128]]
    assert within([np.array([0.2, -1.5]), np.array([[1.0], [-0.4]])], 1) == 0.75
