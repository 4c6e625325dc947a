"""Integer networks of any depth, and engines of any shape: only sizes are drawn, and none is simulated."""

from __future__ import annotations

import numpy as np
from engine.small_engines import kernel
from hypothesis import strategies as st

from hwnorm.engine.engine import SCORE_BITS, STREAM_BITS, Engine
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

STREAM, SCORES, BEFORE = FixedFormat(STREAM_BITS, 13), FixedFormat(SCORE_BITS, 7), FixedFormat(12, 8)
#: By device and bits of activations, the tokens that share a multiplier.
WAYS = (("xcup", 8, 1), ("xcup", 6, 2), ("ecp5", 8, 1), ("ecp5", 6, 1))


@st.composite
def engines(draw: st.DrawFn) -> Engine:
    """Arrays of any shape, larger than what tests simulate."""
    device, bits, pair = draw(st.sampled_from(WAYS))
    return Engine(
        pair * draw(st.integers(1, 40 // pair)),
        draw(st.integers(1, 8)),
        draw(st.integers(1, 16)),
        bits,
        draw(st.sampled_from((64, 128, 512, 1024))),
        device,
    )


class Deep:
    """A vision transformer whose weights are all 1: only its sizes are drawn."""

    def __init__(self, draw: st.DrawFn, bits: int, normed: bool = True) -> None:
        self.draw, self.bits, self.codes = draw, bits, FixedFormat(bits, bits - 3)
        self.operations: list[IntegerOperation] = []
        self.embed = draw(st.integers(2, 40))
        self.may_be_normed = normed
        self.alike()
        affine = FixedFormat(12, 9)
        self.design = LayerNormDesign(self.embed, 1, STREAM, self.codes, affine, affine)

    def alike(self) -> None:
        """What the blocks that follow have in common: rows of 8 bits of ten, and whether they have norms."""
        self.eights = self.draw(st.integers(0, 10))
        self.norms = self.may_be_normed and self.draw(st.booleans())

    def add(self, op: IntegerOperation) -> str:
        self.operations.append(op)
        return op.out

    def name(self) -> str:
        return f"t{len(self.operations)}"

    def linear(self, x: str, size: tuple[int, int], fmt: FixedFormat, stream: str | None = None) -> str:
        """Of (outputs, inputs)."""
        bits = np.full(size[0], 4, dtype=np.uint8)
        bits[: size[0] * self.eights // 10] = 8
        weight, zeros = np.ones(size, dtype=np.int8), np.zeros(size[0], dtype=np.int64)
        first = 1 if isinstance(self.operations[-1], Table) else 0
        ones = np.ones(size[0], dtype=np.int32)
        return self.add(
            IntegerLinear(self.name(), fmt, x, weight, bits, zeros, ones, 4, "layer", stream, 0, first)
        )

    def normed(self, x: str) -> str:
        if self.norms:
            ones = np.ones(self.embed, dtype=np.int64)
            return self.add(IntegerNorm(self.name(), self.codes, x, self.design, ones, 0 * ones, 1, "layer"))
        slope = kernel("0.4*x", STREAM, self.codes)
        return self.add(IntegerFunction(self.name(), self.codes, x, slope, "layer"))

    def block(self, stream: str, heads: int, each: int, hidden: int) -> str:
        """Attention and an MLP."""
        embed, inner, probability = self.embed, heads * each, FixedFormat(self.bits, self.bits - 1)
        digits = (probability.max_code << 17).bit_length() - 1
        x = self.normed(stream)
        q, k, v = (self.linear(x, (inner, embed), self.codes) for _ in "qkv")
        scores = self.add(IntegerScores(self.name(), SCORES, q, k, heads, 4))
        power = kernel("exp2(x)", SCORES, probability)
        p = self.add(Exponentials(self.name(), probability, scores, power))
        x = self.add(IntegerContext(self.name(), self.codes, p, v, heads, digits, digits))
        stream = self.linear(x, (embed, inner), STREAM, stream)
        x = self.linear(self.normed(stream), (hidden, embed), BEFORE)
        gelu = kernel("max(x, 0.125*x)", BEFORE, self.codes)
        x = self.add(IntegerFunction(self.name(), self.codes, x, gelu, "layer"))
        return self.linear(x, (embed, hidden), STREAM, stream)

    def network(self) -> tuple[IntegerNetwork, tuple[int, int, int]]:
        """Several blocks, some alike and some not, and the size of its images."""
        draw = self.draw
        size = 2, 2 * draw(st.integers(1, 8)), 3 * draw(st.integers(1, 8))
        tokens = 1 + size[1] // 2 * (size[2] // 3)
        patches = self.add(IntegerPatches("patches", FixedFormat(8, 7), IMAGES, 2, 3))
        table = self.add(Table("positions", STREAM, np.zeros((tokens, self.embed), dtype=np.int32)))
        stream = self.linear(patches, (self.embed, 12), STREAM, table)
        for _ in range(draw(st.integers(0, 2))):
            sizes = draw(st.integers(1, 6)), draw(st.integers(1, 12)), draw(st.integers(1, 60))
            self.alike()
            for _ in range(draw(st.integers(1, 4))):
                stream = self.block(stream, *sizes)
        x = self.normed(stream)
        first = draw(st.integers(0, tokens - 1))
        x = self.add(IntegerPool(self.name(), self.codes, x, first, tokens, 1, 0))
        self.linear(x, (draw(st.integers(1, 12)), self.embed), BEFORE)
        return IntegerNetwork(Pixels((0.5, 0.5), (0.5, 0.5)), tuple(self.operations)), size
