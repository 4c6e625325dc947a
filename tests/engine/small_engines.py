"""A small integer network with everything an engine does, engines for it, and images."""

from __future__ import annotations

from functools import cache

import numpy as np

from hwnorm.datapath.ir import Datapath
from hwnorm.engine.engine import SCORE_BITS, STREAM_BITS, Engine
from hwnorm.engine.program import Program, compile_program
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IMAGES, IntegerNetwork, Pixels
from hwnorm.integers.operations import (
    Codes,
    Exponentials,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerOperation,
    IntegerPatches,
    IntegerPool,
    IntegerScores,
    Table,
)
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target

#: Channels, height and width of an image; height and width of a patch.
IMAGE, PATCH = (2, 4, 8), (2, 4)
TOKENS, HEADS, CHANNELS, HIDDEN, CLASSES = 5, 2, 6, 10, 5
STREAM, SCORES = FixedFormat(STREAM_BITS, 13), FixedFormat(SCORE_BITS, 7)
#: By name, engines that differ in all that decides their hardware; tokens are no multiple of any.
ENGINES = {
    "a8": Engine(tokens=3, columns=2, depth=4, beat=64),
    "a8 wide": Engine(tokens=2, columns=3, depth=8, beat=256, rescale="dsp", lut_columns=2),
    "ecp5": Engine(tokens=4, columns=1, depth=2, beat=64, device="ecp5", lut_columns=1),
    "a6": Engine(tokens=4, columns=2, depth=4, activation_bits=6, lut_columns=1),
    "norms": Engine(tokens=3, columns=2, depth=4, beat=64),
    "one token, norms": Engine(tokens=1, columns=1, depth=1, beat=64),
}
#: Those whose network has LayerNorms.
NORMED = ("norms", "one token, norms")


@cache
def kernel(expression: str, input: FixedFormat, output: FixedFormat) -> Datapath:
    return lower(parse(expression), input, output, load_target("xcup", ""), 250.0)


class _Layers:
    """Operations one after the other, with weights by chance and results that fill their formats."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.rng = np.random.default_rng(bits)
        self.operations: list[IntegerOperation] = []
        self.formats: dict[str, FixedFormat] = {}

    def add(self, op: IntegerOperation) -> str:
        self.operations.append(op)
        self.formats[op.out] = op.format
        return op.out

    def linear(
        self,
        out: str,
        x: str,
        shape: tuple[int, int],
        fmt: FixedFormat,
        stream: str | None = None,
        first: int = 0,
    ) -> str:
        rng, (outputs, inputs) = self.rng, shape
        bits = np.where(np.arange(outputs) % 3 == 1, 8, 4).astype(np.uint8)
        most = ((1 << (bits.astype(int) - 1)) - 1)[:, None]
        weight = rng.integers(-most, most + 1, size=shape)
        weight[-1] = np.where(np.arange(inputs) % 2, most[-1], -most[-1])
        # Rows of 4 bits are multiplied by more, so that all reach as far.
        multiplier = np.where(bits == 8, 1 << 12, (1 << 16) + 5)
        reach = int(np.sqrt(inputs) * 60) << (self.formats[x].width + 11)
        shift = reach.bit_length() - fmt.width + 1
        bias = rng.integers(-(1 << 9), 1 << 9, size=outputs)
        lift = shift - 1 if stream else 0
        return self.add(
            IntegerLinear(
                out, fmt, x, weight.astype(np.int8), bits, bias, multiplier.astype(np.int32), shift,
                "layer", stream, lift, first,
            )
        )  # fmt: skip

    def function(self, out: str, x: str, expression: str) -> str:
        fmt = FixedFormat(self.bits, self.bits - 1)
        return self.add(IntegerFunction(out, fmt, x, kernel(expression, self.formats[x], fmt), "layer"))

    def norm(self, out: str, x: str, channels: int = CHANNELS) -> str:
        gamma, beta = FixedFormat(16, 14), FixedFormat(16, 13)
        output = FixedFormat(self.bits, self.bits - 3)
        design = LayerNormDesign(channels, 1, self.formats[x], output, gamma, beta)
        codes = (self.rng.integers(f.min_code, f.max_code + 1, size=channels) for f in (gamma, beta))
        return self.add(IntegerNorm(out, output, x, design, *codes, 1, "layer"))


@cache
def network(bits: int, norms: bool = False) -> IntegerNetwork:
    """Patches, positions with a class token, a block of two heads, an MLP, a mean, logits.

    Pixels have 8 bits, all else that is multiplied ``bits``. With ``norms`` the first and the last function
    of a stream are LayerNorms.
    """
    make, codes = _Layers(bits), FixedFormat(bits, bits - 3)
    patches = make.add(IntegerPatches("patches", FixedFormat(8, 7), IMAGES, *PATCH))
    positions = make.rng.integers(-9000, 9000, size=(TOKENS, CHANNELS)).astype(np.int32)
    table = make.add(Table("positions", STREAM, positions))
    inputs = IMAGE[0] * PATCH[0] * PATCH[1]
    stream = make.linear("embed", patches, (CHANNELS, inputs), STREAM, table, TOKENS - 4)
    x = make.norm("norm1", stream) if norms else make.function("norm1", stream, "tanh(x)")
    q, k, v = (make.linear(name, x, (CHANNELS, CHANNELS), codes) for name in "qkv")
    scores = make.add(IntegerScores("scores", SCORES, q, k, HEADS, bits - 5))
    probability = FixedFormat(bits, bits - 1)
    p = make.add(Exponentials("p", probability, scores, kernel("exp2(x)", SCORES, probability)))
    digits = (probability.max_code << 17).bit_length() - 1
    context = make.add(IntegerContext("context", codes, p, v, HEADS, digits, digits))
    stream = make.linear("proj", context, (CHANNELS, CHANNELS), STREAM, stream)
    x = make.function("norm2", stream, "0.5*x")
    hidden = make.linear("fc1", x, (HIDDEN, CHANNELS), FixedFormat(12, 10))
    x = make.function("act", hidden, "max(x, 0.125*x)")
    stream = make.linear("fc2", x, (CHANNELS, HIDDEN), STREAM, stream)
    x = make.norm("norm3", stream) if norms else make.function("norm3", stream, "tanh(x)")
    mean = make.add(IntegerPool("mean", FixedFormat(bits, bits), x, 1, TOKENS, 1 << 14, 16))
    make.linear("head", mean, (CLASSES, CHANNELS), FixedFormat(12, 8))
    return IntegerNetwork(Pixels((0.5, 0.5), (0.25, 0.5)), tuple(make.operations))


@cache
def normed(channels: int) -> IntegerNetwork:
    """Patches and positions of so many channels, a LayerNorm, a mean, logits; nothing else."""
    make = _Layers(8)
    patches = make.add(IntegerPatches("patches", FixedFormat(8, 7), IMAGES, *PATCH))
    positions = make.rng.integers(-9000, 9000, size=(TOKENS, channels)).astype(np.int32)
    table = make.add(Table("positions", STREAM, positions))
    inputs = IMAGE[0] * PATCH[0] * PATCH[1]
    stream = make.linear("embed", patches, (channels, inputs), STREAM, table, TOKENS - 4)
    x = make.norm("norm", stream, channels)
    mean = make.add(IntegerPool("mean", FixedFormat(8, 8), x, 1, TOKENS, 1 << 14, 16))
    make.linear("head", mean, (CLASSES, channels), FixedFormat(12, 8))
    return IntegerNetwork(Pixels((0.5, 0.5), (0.25, 0.5)), tuple(make.operations))


@cache
def program(name: str) -> Program:
    """The network on an engine of :data:`ENGINES`."""
    engine = ENGINES[name]
    return compile_program(network(engine.activation_bits, name in NORMED), engine, IMAGE)


def images(count: int, seed: int = 0) -> tuple[np.ndarray, Codes]:
    """Normalized images (count, C, H, W), and their codes; the first image has their ends."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-128, 128, size=(count, *IMAGE)).astype(np.int32)
    codes[0] = rng.choice([-128, 127], size=IMAGE)
    mean, std = (np.asarray(of)[:, None, None] for of in ((0.5, 0.5), (0.25, 0.5)))
    return ((codes + 128) / 255 - mean) / std, codes
