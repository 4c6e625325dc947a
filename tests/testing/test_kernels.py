"""The conformance suite of stream kernels: hwnorm's own pass, and each check sees what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from small_packages import offset_kernel

from hwnorm.emit import DatapathStage
from hwnorm.fixed import FixedFormat
from hwnorm.kernel.kinds import kernel_kinds
from hwnorm.layernorm import LayerNormDesign, LayerNormKernel
from hwnorm.testing.kernels import check_evaluate, check_package, check_synthesis, check_tokens

S8, S10 = FixedFormat(8, 4), FixedFormat(10, 6)


def layernorm() -> LayerNormKernel:
    rng = np.random.default_rng(0)
    gamma, beta = rng.integers(-128, 128, size=(2, 12))
    return LayerNormKernel(LayerNormDesign(12, 3, S10, S10, S8, S8), gamma, beta, "Of a test.")


def stage() -> DatapathStage:
    return DatapathStage(offset_kernel(), "offset", 3, "Of a test.")


@pytest.mark.parametrize("check", [check_tokens, check_evaluate, check_package])
@pytest.mark.parametrize("make", [stage, layernorm])
def test_both_kernels_conform(check, make):
    check(make())


def test_the_kinds_of_kernels_are_known():
    assert {"datapath", "layernorm"} <= kernel_kinds().keys()


def test_the_layernorms_memories_are_synthesized(yosys):
    check_synthesis(layernorm())


class Leaking(LayerNormKernel):
    """A token's result depends on the one before."""

    def evaluate(self, tokens):
        return np.asarray(super().evaluate(tokens) ^ (len(tokens) > 1))


class Short(LayerNormKernel):
    """Sends half a token."""

    def to_send(self, seed):
        return super().to_send(seed)[:, :6]


class Forgetful(LayerNormKernel):
    """Its description lacks gamma."""

    def description(self):
        return super().description() | {"gamma_codes": [1] * 12}


@pytest.mark.parametrize(
    ("kind", "check", "message"),
    [
        (Leaking, check_evaluate, "depends on the tokens beside it"),
        (Short, check_tokens, r"to_send is of shape \(40, 6\); \(tokens, 12\) was expected"),
        (Forgetful, check_package, "it is another kernel"),
    ],
)
def test_what_does_not_conform_is_told(kind, check, message):
    good = layernorm()
    bad = kind(good.design, good.gamma, good.beta)
    with pytest.raises(AssertionError, match=f"^layernorm layernorm: .*{message}"):
        check(bad)


@pytest.mark.parametrize("beta", [None, np.full(12, 100)])
def test_the_layernorms_certificate_is_a_bound(beta):
    """The largest distance from PyTorch's of hard tokens is below it."""
    from hwnorm.layernorm.accuracy import torch_layer_norm
    from hwnorm.layernorm.tokens import hard_tokens

    formats = (None, None) if beta is None else (S8, S8)
    design = LayerNormDesign(12, 3, S10, S10, *formats)
    affine = () if beta is None else (np.full(12, -128), beta)
    kernel = LayerNormKernel(design, *affine)
    tokens = hard_tokens(design, 400)
    error = np.abs(kernel.evaluate(tokens) - torch_layer_norm(design, tokens, *affine)).max()
    assert 0.5 < error <= kernel.certificate.max_error_ulp < 1
