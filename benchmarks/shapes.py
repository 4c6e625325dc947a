"""Vision transformers of a shape, as integer networks with weights by chance.

Cycles depend on shapes, on bits of rows and on kernels' latencies alone: no image is computed with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnorm.engine.engine import SCORE_BITS, STREAM_BITS
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IMAGES, IntegerNetwork, Pixels
from hwnorm.integers.operations import (
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

#: Channels, height and width of an image, pixels of a patch's side, and classes: ImageNet's.
IMAGE, PATCH, CLASSES = (3, 224, 224), 16, 1000
TOKENS = 1 + (IMAGE[1] // PATCH) ** 2
#: Channels of a head.
HEAD = 64


@dataclass(frozen=True)
class Shape:
    """Embedding channels, heads of :data:`HEAD` channels, MLP channels, and blocks."""

    embed: int
    heads: int
    hidden: int
    depth: int

    @property
    def parameters(self) -> int:
        """Weights, biases and tables of the float network with its LayerNorms."""
        inner, e = self.heads * HEAD, self.embed
        block = 3 * inner * (e + 1) + e * (inner + 1) + self.hidden * (e + 1) + e * (self.hidden + 1) + 4 * e
        ends = e * (3 * PATCH**2 + 1) + e * (TOKENS + 1) + 2 * e + CLASSES * (e + 1)
        return self.depth * block + ends

    @property
    def products(self) -> int:
        """Of an image, those of q k and p v among them."""
        inner, e = self.heads * HEAD, self.embed
        block = TOKENS * (4 * inner * e + 2 * self.hidden * e) + 2 * TOKENS**2 * inner
        return self.depth * block + (TOKENS - 1) * 3 * PATCH**2 * e + CLASSES * e

    def network(self, ratio8: float, bits: int, layernorms: bool = False, seed: int = 0) -> IntegerNetwork:
        """It with this share of rows at 8 bits, and activations of so many bits; or with LayerNorms."""
        make = _Layers(ratio8, bits, seed)
        codes, stream = FixedFormat(bits, bits - 3), FixedFormat(STREAM_BITS, 10)
        scores, probability = FixedFormat(SCORE_BITS, 7), FixedFormat(bits, bits - 1)
        before = FixedFormat(SCORE_BITS, 8)
        norm = _Norm(self.embed, stream, codes, layernorms)
        gelu, power = _kernel("x*sigmoid(1.702*x)", before, codes), _kernel("exp2(x)", scores, probability)
        digits = (probability.max_code << 17).bit_length() - 1
        inner = self.heads * HEAD
        patches = make.add(IntegerPatches("patches", FixedFormat(8, 7), IMAGES, PATCH, PATCH))
        positions = np.zeros((TOKENS, self.embed), dtype=np.int32)
        table = make.add(Table("positions", stream, positions))
        x = make.linear("embed", patches, self.embed, 3 * PATCH**2, stream, table, first=1)
        for block in range(self.depth):
            name = f"blocks.{block}"
            normed = make.add(norm(f"{name}.norm1", x))
            q, k, v = (make.linear(f"{name}.{part}", normed, inner, self.embed, codes) for part in "qkv")
            score = make.add(IntegerScores(f"{name}.scores", scores, q, k, self.heads, 4))
            p = make.add(Exponentials(f"{name}.p", probability, score, power))
            context = make.add(IntegerContext(f"{name}.context", codes, p, v, self.heads, digits, digits))
            x = make.linear(f"{name}.stream1", context, self.embed, inner, stream, x)
            normed = make.add(norm(f"{name}.norm2", x))
            hidden = make.linear(f"{name}.fc1", normed, self.hidden, self.embed, before)
            hidden = make.add(IntegerFunction(f"{name}.act", codes, hidden, gelu, f"{name}.act"))
            x = make.linear(f"{name}.stream2", hidden, self.embed, self.hidden, stream, x)
        normed = make.add(norm("norm", x))
        token = make.add(IntegerPool("token", codes, normed, 0, 1, 1, 0))
        make.linear("head", token, CLASSES, self.embed, FixedFormat(STREAM_BITS, 8))
        return IntegerNetwork(Pixels((0.5,) * 3, (0.5,) * 3), tuple(make.operations))


def _kernel(text: str, input: FixedFormat, output: FixedFormat):  # type: ignore[no-untyped-def]
    return lower(parse(text), input, output, load_target("xcup", ""), 150.0)


class _Norm:
    """A function of the stream, or a LayerNorm over its channels."""

    def __init__(self, channels: int, stream: FixedFormat, codes: FixedFormat, layernorms: bool) -> None:
        self.codes = codes
        self.kernel = _kernel("0.9*clip(x, -4.0, 4.0)", stream, codes)
        affine = FixedFormat(12, 9)
        design = LayerNormDesign(channels, 1, stream, codes, affine, affine)
        self.design = design if layernorms else None
        self.ones = np.full(channels, 1 << affine.frac, dtype=np.int64)

    def __call__(self, name: str, x: str) -> IntegerOperation:
        if self.design is None:
            return IntegerFunction(name, self.codes, x, self.kernel, name)
        return IntegerNorm(name, self.codes, x, self.design, self.ones, 0 * self.ones, 1, name)


class _Layers:
    def __init__(self, ratio8: float, bits: int, seed: int) -> None:
        self.ratio8, self.bits, self.rng = ratio8, bits, np.random.default_rng(seed)
        self.operations: list[IntegerOperation] = []

    def add(self, op: IntegerOperation) -> str:
        self.operations.append(op)
        return op.out

    def linear(
        self,
        out: str,
        x: str,
        outputs: int,
        inputs: int,
        fmt: FixedFormat,
        stream: str | None = None,
        first: int = 0,
    ) -> str:
        bits = np.full(outputs, 4, dtype=np.uint8)
        bits[: round(outputs * self.ratio8)] = 8
        weight = self.rng.integers(-7, 8, size=(outputs, inputs)).astype(np.int8)
        multiplier = np.full(outputs, 1 << 12, dtype=np.int32)
        bias = np.zeros(outputs, dtype=np.int64)
        return self.add(
            IntegerLinear(out, fmt, x, weight, bits, bias, multiplier, 14, "layer", stream, 4, first)
        )
