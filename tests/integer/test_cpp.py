"""The integers of NumPy, of the C++ program and of Python: the same in every tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_integers import PIXEL_VALUES, attentions, images, networks, norms

from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers import cpp
from hwnorm.integers.cpp import CppNetwork, evaluate_cpp
from hwnorm.integers.network import IMAGES, PIXELS, IntegerNetwork, Pixels
from hwnorm.integers.operations import Codes, IntegerLinear, IntegerPatches
from hwnorm.tools import ToolError


def compare(network: IntegerNetwork, found: Mapping[str, Codes], wanted: Mapping[str, Codes]) -> None:
    """Stops at the first tensor that differs, and says which operation made it."""
    assert found.keys() == wanted.keys()
    for name, made in [(IMAGES, None)] + [(op.out, op) for op in network.operations]:
        codes = np.broadcast_to(found[name], wanted[name].shape)
        at = np.argwhere(codes != wanted[name])
        assert len(at) == 0, (
            f"{name} ({type(made).__name__}) differs at {len(at)} places of {codes.shape}, the first "
            f"{at[0].tolist()}: {codes[tuple(at[0])]}, not {wanted[name][tuple(at[0])]}"
        )


def of_oracle(network: IntegerNetwork, codes: Codes) -> dict[str, Codes]:
    """The oracle's tensors in the shapes that the network's have."""
    each = [oracle.evaluate(network, image) for image in codes.tolist()]
    return {IMAGES: codes} | {name: np.array([one[name] for one in each]) for name in each[0]}


def flat(network: IntegerNetwork, tensors: Mapping[str, Codes]) -> dict[str, Codes]:
    """Heads' rows one below the other, as the oracle has them."""
    return {name: t.reshape(len(t), -1, t.shape[-1]) if name != IMAGES else t for name, t in tensors.items()}


@settings(max_examples=150)
@given(networks())
def test_three_evaluations_are_the_same_in_every_tensor(case):
    """Every operation, widths from 4 to 16 bits, weights and biases that saturate."""
    network, images, codes = case
    program = CppNetwork(network)
    wanted = of_oracle(network, codes)
    compare(network, flat(network, network.trace(images)), wanted)
    compare(network, flat(network, program.trace(images)), wanted)
    last = wanted[network.operations[-1].out].reshape(len(images), -1)
    assert (network.evaluate(images) == last).all()
    for either in (images, codes):
        assert (program.evaluate(either, 2) == last).all()


@settings(max_examples=100)
@given(st.one_of(norms(), attentions()))
def test_wide_norms_and_products_are_the_same(network):
    """Where 64 bits do not hold a norm's variance, and 32 no sum of attention's products."""
    codes = np.zeros((1, 1, 1, 1), dtype=int)
    wanted = of_oracle(network, codes)
    white = np.full((1, 1, 1, 1), (128 / 255 - PIXEL_VALUES.mean[0]) / PIXEL_VALUES.std[0])
    one = IntegerNetwork(Pixels(PIXEL_VALUES.mean[:1], PIXEL_VALUES.std[:1]), network.operations)
    compare(network, flat(network, one.trace(white)), wanted)
    compare(network, flat(network, CppNetwork(network).trace(codes)), wanted)


def wide(weights: int, width: int, bias: int = 0, multiplier: int = 3, shift: int = 20) -> IntegerNetwork:
    """A layer of 1 image's row with all weights 127, behind one that makes its codes wide."""
    fmt = FixedFormat(width, 0)
    eye = np.full((weights, 1), 127, dtype=np.int8)
    cut = IntegerPatches("cut", PIXELS, IMAGES, 1, 1)
    wider = IntegerLinear(
        "wider", fmt, "cut", eye, np.full(weights, 8, np.uint8), np.zeros(weights, np.int64),
        np.full(weights, (1 << 17) - 1, np.int32), 0, "wider",
    )  # fmt: skip
    signs = np.array([[127] * weights, [-127] * weights, [127, -127] * (weights // 2)], dtype=np.int8)
    summed = IntegerLinear(
        "summed", FixedFormat(32, 0), "wider", signs, np.full(3, 8, np.uint8), np.full(3, bias, np.int64),
        np.full(3, multiplier, np.int32), shift, "summed",
    )  # fmt: skip
    return IntegerNetwork(Pixels(PIXEL_VALUES.mean[:1], PIXEL_VALUES.std[:1]), (cut, wider, summed))


@pytest.mark.parametrize(
    ("weights", "width"),
    # 2 * 127 * 128 products fit 24 bits, 516 * 127 * 2^15 need 32, 4 * 127 * 2^31 more than a product's 32.
    [(1040, 8), (1032, 8), (514, 16), (516, 16), (520, 16), (600, 16), (4, 32), (64, 32), (100, 20)],
)
def test_sums_wider_than_a_word_are_exact(weights, width):
    """Where float32 and where 32 bits no longer hold a sum, on either side of that; all terms at the end."""
    network = wide(weights, width)
    codes = np.array([-128, -1, 0, 1, 127]).reshape(5, 1, 1, 1)
    wanted = of_oracle(network, codes)
    pixels = (np.clip((codes + 128) / 255, 0, 1) - PIXEL_VALUES.mean[0]) / PIXEL_VALUES.std[0]
    compare(network, network.trace(pixels), wanted)
    compare(network, CppNetwork(network).trace(codes), wanted)


def test_threads_and_parts_change_nothing(monkeypatch):
    """Images keep their order however many threads there are, and however few go in a call."""
    network = wide(4, 8)
    _, codes = images(37, (1, 3, 2), np.random.default_rng(0))
    whole = evaluate_cpp(network, codes, 1)
    assert whole.shape == (37, 18)
    assert (evaluate_cpp(network, codes, 5) == whole).all()
    monkeypatch.setattr(cpp, "_TOGETHER", 60)
    assert (evaluate_cpp(network, codes, 2) == whole).all()


def test_codes_that_are_none_of_pixels_are_refused():
    with pytest.raises(InputError, match="codes from 0 to 128"):
        evaluate_cpp(wide(4, 8), np.array([0, 128]).reshape(2, 1, 1, 1))


def test_a_program_that_fails_says_why(monkeypatch):
    """Its own words, in one line."""
    program = CppNetwork(wide(4, 8))
    monkeypatch.setattr(CppNetwork, "_text", b"")
    with pytest.raises(ToolError, match=r"status 1: the input ends early"):
        program.evaluate(np.zeros((1, 1, 1, 1), dtype=int))


def test_a_source_that_does_not_compile_is_kept_with_its_log(tmp_path, monkeypatch):
    """The message names a log that is there; nothing is cached, and nothing is left half built."""
    monkeypatch.setenv("HWNORM_CACHE", str(tmp_path))
    monkeypatch.setattr(cpp, "_source", lambda: "int main() { return nothing; }")
    with pytest.raises(
        ToolError, match=r"C\+\+ of integers: g\+\+ failed with status 1: .*; see .*failed"
    ) as caught:
        CppNetwork(wide(4, 8))
    assert "nothing" in caught.value.output
    (log,) = tmp_path.glob("failed/*/g++.log")
    assert str(log) in str(caught.value)
    assert list((tmp_path / "integer").iterdir()) == []
