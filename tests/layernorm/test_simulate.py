"""``rtl/layernorm.v`` in Verilator: bit for bit the model, under the stream contract of the kernels.

``sim/test_axis.py`` sends tokens three times: with random stalls on both sides; after resets at random
moments, in the middle of a token and in the middle of a result; and without a pause of the source, where it
measures the latency and sees a result in each cycle in which the sink is ready. TLAST and TUSER are random.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sample_designs import design
from small_packages import fault

from hwnorm.data.images import load_images
from hwnorm.emit import emit_kernel
from hwnorm.fixed import FixedFormat
from hwnorm.layernorm import LayerNormKernel
from hwnorm.layernorm.accuracy import norm_inputs
from hwnorm.layernorm.tokens import hard_tokens
from hwnorm.network.models import load_model
from hwnorm.verify import verify_packages
from hwnorm.verify.toolchain import find_toolchain

#: What is broken, how, and which test of the stream must say what of it.
BREAKS = {
    "the sum goes on": ("layernorm_moments.v", "first[WAIT-1] ? {SUM_WIDTH{1'b0}} : sum", "sum", "TDATA"),
    "a Newton step less": ("layernorm_rsqrt.v", "+ correction +", "+ 0 * correction +", "TDATA"),
    "reset in a token": (
        "layernorm.v",
        "      entering_beat <= {BEAT_BITS{1'b0}};\n      event_",
        "      event_",
        "",
    ),
    "a ring too short": (
        "layernorm.v",
        "localparam DEPTH = BEATS +",
        "localparam DEPTH = 0 * BEATS +",
        "a bubble",
    ),
}


def kernel(made, seed=0):
    """A LayerNorm with gammas and betas of the whole range."""
    rng = np.random.default_rng(seed)
    affine = [
        rng.integers(fmt.min_code, fmt.max_code + 1, made.channels) if fmt else None
        for fmt in (made.gamma, made.beta)
    ]
    return LayerNormKernel(made, *affine)


def problems(stream, folder):
    """What verification finds wrong with a kernel's package."""
    emit_kernel(stream, folder)
    (verdict,) = verify_packages([folder])
    assert verdict.hls_bit_exact is None
    return verdict.problems()


def test_real_and_hard_tokens_of_192_channels(tmp_path, monkeypatch):
    """Activations of the built-in model, heavy tails, constants and the format's ends, through 16 lanes."""
    made = design(192, 16)
    model = load_model("builtin", None)
    real = [x for _, x, _, _ in norm_inputs(model, load_images(None, "test", model), 192, 3)]
    x = np.concatenate([made.input.quantize(np.concatenate(real)), hard_tokens(made, 40)])
    monkeypatch.setattr(LayerNormKernel, "to_send", lambda self, seed: x)
    assert problems(kernel(made), tmp_path / "package") == []


def test_eight_bits_without_affine(tmp_path):
    """The other arithmetic, in lanes that fill no power of two and elements that fill no byte."""
    made = design(24, 3, affine=False, input=FixedFormat(12, 6), output=FixedFormat(6, 3), eps=1e-5)
    assert problems(kernel(made), tmp_path / "package") == []


def test_a_package_simulates_without_hwnorm_and_tells_a_token_that_ends_early(tmp_path):
    """``make -C sim``: beside the stream's contract, what a TLAST within a token does."""
    emit_kernel(kernel(design(24, 3)), tmp_path / "package")
    environment = find_toolchain().environment
    path = os.pathsep.join([environment["PATH"], str(Path(sys.executable).parent)])
    done = subprocess.run(
        ["make", "-C", tmp_path / "package" / "sim", "OPT_FAST=-O0", "OPT_GLOBAL=-O0"],
        env=environment | {"PATH": path, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TESTS=4 PASS=4" in done.stdout
    page = (tmp_path / "package" / "README.md").read_text()
    assert "`event_tlast_unexpected`: out; rises with a TLAST on a beat that ends no token" in page


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found(tmp_path, name):
    """A fault in the Verilog is seen by the tests above."""
    file, old, new, message = BREAKS[name]
    emit_kernel(kernel(design(24, 2)), tmp_path / "package")
    fault(tmp_path / "package", f"rtl/{file}", old, new)
    (verdict,) = verify_packages([tmp_path / "package"])
    assert not verdict.passed
    assert message in verdict.protocol_message
