"""The bit-true model against PyTorch: the same codes, gamma, beta and eps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_designs import design

from hwnorm.data.images import load_images
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.layernorm import LayerNormDesign, evaluate
from hwnorm.layernorm.accuracy import norm_inputs, torch_layer_norm
from hwnorm.layernorm.tokens import hard_tokens
from hwnorm.network.models import load_model


def errors(made, x, gamma=None, beta=None):
    """Distance to PyTorch's value, in ulp of the output; nothing is rounded there."""
    return evaluate(made, x, gamma, beta) - torch_layer_norm(made, x, gamma, beta)


@pytest.mark.parametrize("channels", [192, 384, 768])
def test_hard_tokens_are_within_one_ulp(channels):
    """Heavy tails, constants, ends of the format, under gammas and betas of the whole range: all elements."""
    made = design(channels)
    rng = np.random.default_rng(0)
    gamma, beta = rng.integers(-(1 << 15), 1 << 15, size=(2, channels))
    found = errors(made, hard_tokens(made, 200), gamma, beta)
    assert np.abs(found).max() < 0.95
    # Half of an ulp is the rounding itself: only the odd element pays much more than that.
    assert np.mean(np.abs(found) <= 0.6) > 0.999


def test_the_built_in_models_norms_are_within_one_ulp():
    """Every norm of a trained network on its own activations."""
    model = load_model("builtin", None)
    made = design(192)
    for name, tokens, gamma, beta in norm_inputs(model, load_images(None, "test", model), 192, 40):
        x = made.input.quantize(tokens)
        found = errors(made, x, made.gamma.quantize(gamma), made.beta.quantize(beta))
        assert np.abs(found).max() < 0.6, name


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("mean", [0.0, 20.0])
def test_every_scale_is_right(sigma, mean):
    """Where hls4ml's default is wrong 2.8 times at sigma 1 and 16 times at sigma 10."""
    made = design(192, input=FixedFormat(16, 9))
    x = made.input.quantize(mean + sigma * np.random.default_rng(1).standard_normal((50, 192)))
    one, none = np.full(192, 1 << 12), np.zeros(192)
    assert np.abs(errors(made, x, one, none)).max() < 0.6
    y = made.output.to_float(evaluate(made, x, one, none))
    # The deviation of what comes out is 1, but for eps and the input's own steps, which PyTorch sees too.
    assert y.std(axis=1) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("code", [-(1 << 15), -3, 0, 1, (1 << 15) - 1])
def test_a_constant_token_gives_beta(code):
    """Exactly, whatever eps: nothing is left of the channels."""
    for eps in (0.0, 1e-12, 1e-6, 1e-3):
        made = design(192, eps=eps)
        beta = np.arange(-96, 96) * 333
        expected = made.output.quantize(made.beta.to_float(beta))
        assert (
            evaluate(made, np.full((1, 192), code), np.full(192, 4321), beta)[0].tolist() == expected.tolist()
        )


def test_eps_counts_where_the_variance_is_small():
    """Tokens with a deviation of a few codes, under an eps as large as their variance."""
    made = design(384, eps=1e-5)
    x = np.random.default_rng(2).integers(-3, 4, size=(50, 384))
    one, none = np.full(384, 1 << 12), np.zeros(384)
    assert np.abs(errors(made, x, one, none)).max() < 0.6
    without = torch_layer_norm(design(384, eps=0.0), x, one, none)
    assert np.abs(without - torch_layer_norm(made, x, one, none)).max() > 100


@settings(max_examples=60)
@given(st.data())
def test_the_bound_whatever_the_design(data):
    """Any channels, formats and eps: the bound that the Verilog's header states, on hard tokens.

    That is 5/8 ulp for roundings, and z gamma times what 1 / sqrt is wrong by.
    """
    channels = data.draw(st.integers(2, 300))
    width = data.draw(st.integers(2, 16))
    source = data.draw(st.integers(2, 24))
    # A gamma's largest value takes part in the bound; a beta's point has to be in reach.
    affine = data.draw(st.booleans())
    gamma = FixedFormat(data.draw(st.integers(2, 18)), data.draw(st.integers(0, 14))) if affine else None
    beta = FixedFormat(data.draw(st.integers(2, 18)), data.draw(st.integers(0, 3))) if affine else None
    eps = data.draw(st.sampled_from([1e-12, 1e-6, 1e-5, 1e-3]))
    formats = (
        FixedFormat(source, data.draw(st.integers(0, source))),
        FixedFormat(width, data.draw(st.integers(0, width))),
    )
    try:
        made = LayerNormDesign(channels, 1, *formats, gamma, beta, eps)
    except InputError:
        return
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    codes = [rng.integers(f.min_code, f.max_code + 1, channels) if f else None for f in (gamma, beta)]
    # EPS is rounded to 2^-40: PyTorch gets the eps that it stands for.
    exact = LayerNormDesign(channels, 1, *formats, gamma, beta, made.eps_parameter * 2.0**-40)
    x = hard_tokens(made, 16)
    found = np.abs(evaluate(made, x, *codes) - torch_layer_norm(exact, x, *codes))
    values = made.input.to_float(x)
    z = (values - values.mean(axis=1, keepdims=True)) / np.sqrt(
        values.var(axis=1, keepdims=True) + exact.eps + 1e-300
    )
    scaled = np.abs(z if made.gamma is None else z * made.gamma.to_float(codes[0]))
    assert (found <= 0.63 + scaled / made.output.ulp * 1.2 * 2.0**-made.r_width).all()
