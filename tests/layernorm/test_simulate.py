"""``rtl/layernorm.v`` in Verilator: bit for bit the model, under the stream contract of the kernels.

``sim/test_axis.py`` sends every token three times: with random stalls on both sides; after resets at random
moments, in the middle of a token and in the middle of a result; and without a pause of the source, where it
measures the latency and sees a result in each cycle in which the sink is ready. TLAST and TUSER are random.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from sample_designs import design

from hwnorm.data.images import load_images
from hwnorm.fixed import FixedFormat
from hwnorm.layernorm import Tokens, evaluate, simulate
from hwnorm.layernorm.accuracy import hard_tokens, norm_inputs
from hwnorm.network.models import load_model

CLEAN = [[], [], []]
#: What is broken, how, and which test of the stream must say what of it.
BREAKS = {
    "the sum goes on": ("layernorm_moments.v", "first[WAIT-1] ? {SUM_WIDTH{1'b0}} : sum", "sum", "TDATA"),
    "a Newton step less": ("layernorm_rsqrt.v", "+ correction +", "+ 0 * correction +", "TDATA"),
    "reset in a token": (
        "layernorm.v",
        "      entering_beat <= {BEAT_BITS{1'b0}};\n    end else",
        "    end else",
        "",
    ),
    "a ring too short": (
        "layernorm.v",
        "localparam DEPTH = BEATS +",
        "localparam DEPTH = 0 * BEATS +",
        "a bubble",
    ),
}


def tokens(made, x, seed=0):
    """Tokens with gammas and betas of the whole range."""
    rng = np.random.default_rng(seed)
    affine = [
        rng.integers(fmt.min_code, fmt.max_code + 1, made.channels) for fmt in (made.gamma, made.beta) if fmt
    ]
    return Tokens(x, evaluate(made, x, *affine), *affine)


def test_real_and_hard_tokens_of_192_channels(tmp_path):
    """Activations of the built-in model, heavy tails, constants and the format's ends, through 16 lanes."""
    made = design(192, 16)
    model = load_model("builtin", None)
    real = [x for _, x, _, _ in norm_inputs(model, load_images(None, "test", model), 192, 3)]
    x = np.concatenate([made.input.quantize(np.concatenate(real)), hard_tokens(made, 40)])
    assert simulate(made, tokens(made, x), tmp_path) == CLEAN


def test_eight_bits_without_affine(tmp_path):
    """The other arithmetic, in lanes that fill no power of two and elements that fill no byte."""
    made = design(24, 3, affine=False, input=FixedFormat(12, 6), output=FixedFormat(6, 3), eps=1e-5)
    assert simulate(made, tokens(made, hard_tokens(made, 40)), tmp_path) == CLEAN


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found(tmp_path, name):
    """A fault in the Verilog is seen by the tests above."""
    made = design(24, 2)
    rtl = tmp_path / "rtl"
    rtl.mkdir()
    for source in made.sources:
        shutil.copy(source, rtl)
    file, old, new, message = BREAKS[name]
    text = (rtl / file).read_text()
    assert text.count(old) == 1
    (rtl / file).write_text(text.replace(old, new))
    found = simulate(made, tokens(made, hard_tokens(made, 40)), tmp_path / "sim", rtl=rtl)
    assert found != CLEAN
    assert any(message in fault for test in found for fault in test), found
