"""What an integer network refuses, so that every step of it is exact; pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_integers import datapath

from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IMAGES, PIXELS, IntegerNetwork, Pixels
from hwnorm.integers.operations import (
    Exponentials,
    IntegerAffine,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerPatches,
    IntegerPool,
    IntegerScores,
    Table,
)
from hwnorm.layernorm.design import LayerNormDesign

PIXEL = Pixels((0.5,), (0.5,))
FORMAT = FixedFormat(8, 4)
CUT = IntegerPatches("cut", PIXELS, IMAGES, 1, 2)
LINEAR = IntegerLinear(
    "fc1", FORMAT, "cut", np.full((2, 2), 127, np.int8), np.full(2, 8, np.uint8), np.zeros(2, np.int64),
    np.array([100, 1], np.int32), 10, "blocks.0.mlp.fc1",
)  # fmt: skip
STREAM = Table("stream", FixedFormat(16, 8), np.zeros((2, 2), np.int32))
WIDE = Table("wide", FixedFormat(17, 8), np.zeros((2, 2), np.int32))
NARROW = FixedFormat(4, 2)
PATH = datapath(NARROW, FORMAT, np.zeros(16, dtype=int))
DESIGN = LayerNormDesign(2, 1, FORMAT, FORMAT)
ONE = np.ones(2, dtype=np.int64)


def bias(code: int) -> IntegerLinear:
    return replace(LINEAR, bias=np.array([0, code]))


@pytest.mark.parametrize(
    "op",
    [
        LINEAR,
        # 2 * 127 * 128 and the rest of 47 bits.
        bias((1 << 47) - 1 - 2 * 127 * 128),
        bias(-((1 << 47) - 1 - 2 * 127 * 128)),
        replace(LINEAR, multiplier=np.array([(1 << 17) - 1, 1], np.int32)),
        replace(LINEAR, residual="stream", lift=46),
    ],
)
def test_what_just_fits_is_a_network(op):
    """An accumulator of 48 bits, a multiplier of 18, a lifted stream of 62."""
    assert IntegerNetwork(PIXEL, (CUT, STREAM, op)).output == FORMAT


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (bias(1 << 47), "its accumulator may need 49 bits; at most 48"),
        (bias((1 << 47) - 2 * 127 * 128), "its accumulator may need 49 bits; at most 48"),
        (replace(LINEAR, multiplier=np.array([1, 1 << 17], np.int32)), "a multiplier is 131072; at most 17"),
        (
            replace(bias(1 << 46), multiplier=np.array([1 << 16, 1], np.int32)),
            "an accumulator of 48 bits times a multiplier of 17 may need 65 bits; at most 62",
        ),
        (replace(LINEAR, residual="stream", lift=47), "its stream at the scale of its sums may need 63 bits"),
        (replace(LINEAR, residual="stream", lift=-1), "its stream s16f8 is finer than its rescaling"),
        (replace(LINEAR, shift=-1), "a shift by -1; 0 to 62"),
        (replace(LINEAR, shift=63), "a shift by 63; 0 to 62"),
        (replace(LINEAR, format=FixedFormat(33, 0)), "codes of 33 bits; at most 32"),
        (IntegerFunction("fc1", FORMAT, "cut", PATH, "act"), "it is made for s4f2 and reads s8f7"),
        (Exponentials("fc1", FORMAT, "cut", PATH), "it is made for s4f2 and reads s8f7"),
        (IntegerNorm("fc1", FORMAT, "cut", DESIGN, ONE, ONE, 1, "n"), "it is made for s8f4 and reads s8f7"),
        (
            IntegerAffine("fc1", FORMAT, "cut", ONE.astype(np.int32), ONE << 61, 9),
            "its bias may need 63 bits",
        ),
        (IntegerScores("fc1", FORMAT, "stream", "wide", 1, 9), "a product of s17f8; at most 16 bits"),
        (IntegerContext("fc1", FORMAT, "wide", "stream", 1, 20, 9), "a product of s17f8; at most 16 bits"),
        (IntegerContext("fc1", FORMAT, "cut", "stream", 1, 47, 9), "times a reciprocal may need 63 bits"),
        (IntegerPool("fc1", FORMAT, "cut", 0, 2, 1 << 53, 9), "a mean may need 63 bits"),
    ],
)
def test_what_would_not_be_exact_is_refused_by_name(op, message):
    """One line, which begins with the layer."""
    with pytest.raises(InputError) as caught:
        IntegerNetwork(PIXEL, (CUT, STREAM, WIDE, op))
    assert str(caught.value).startswith("layer 'fc1': ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pixels_come_back_from_normalized_images():
    """Every byte, in each channel's own normalization; what is out of range saturates."""
    pixels = Pixels((0.485, 0.456), (0.229, 0.224))
    mean, std = (np.array(of)[:, None, None] for of in (pixels.mean, pixels.std))
    given = np.stack([np.arange(256).reshape(16, 16)] * 2)[None]
    normalized = (given / 255 - mean) / std
    codes = pixels.codes(normalized.astype(np.float32))
    assert (codes == given - 128).all()
    assert np.allclose(codes / 128 * pixels.scale[:, None, None] + pixels.zero[:, None, None], normalized)
    assert pixels.codes(np.array([-99.0, 99.0]).reshape(1, 2, 1, 1)).ravel().tolist() == [-128, 127]
