"""Random integer networks: small, with every operation, every width, and numbers that saturate."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IMAGES, PIXELS, IntegerNetwork, Pixels
from hwnorm.integers.operations import (
    MULTIPLIER_BITS,
    Codes,
    Exponentials,
    IntegerAffine,
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
from hwnorm.layernorm.tokens import hard_tokens

#: A stream may have more bits than what products read.
WIDE = (20, 24)
PIXEL_VALUES = Pixels((0.25, 0.5, 0.75), (0.5, 0.25, 0.5))
widths = st.one_of(st.integers(4, 16), st.sampled_from([8, 16]))


def datapath(input: FixedFormat, output: FixedFormat, values: np.ndarray) -> Datapath:
    """A table: ``values`` for the input's codes, the lowest first."""
    table = tuple(np.roll(values, len(values) // 2).tolist())
    nodes = (
        Node(Cell.INPUT, (), input, "x", "x"),
        Node(Cell.TABLE, (0,), output, "y", "x", table=table),
    )
    return Datapath("x", input, output, nodes, 1, "xcup", 250.0, Certificate(0.0, 0.0, 0, len(values)))


def images(count: int, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, Codes]:
    """Normalized images (count, C, H, W), some pixels out of range, and the codes that they stand for."""
    bytes_ = rng.integers(-20, 276, size=(count, *shape))
    if count > 1:
        bytes_[0] = rng.choice([-20, 0, 255, 275], size=shape)
    mean, std = (np.asarray(of)[: shape[0], None, None] for of in (PIXEL_VALUES.mean, PIXEL_VALUES.std))
    return (bytes_ / 255 - mean) / std, np.clip(bytes_, 0, 255) - 128


class Builder:
    """Draws one operation after the other; remembers formats, tokens and channels."""

    def __init__(self, draw: st.DrawFn, rng: np.random.Generator) -> None:
        self.draw, self.rng = draw, rng
        self.operations: list[IntegerOperation] = []
        self.formats = {IMAGES: PIXELS}

    def add(self, op: IntegerOperation) -> str:
        self.operations.append(op)
        self.formats[op.out] = op.format
        return op.out

    def name(self) -> str:
        return f"t{len(self.operations)}"

    def format(self) -> FixedFormat:
        width = self.draw(widths)
        return FixedFormat(width, self.draw(st.integers(0, width)))

    def codes(self, fmt: FixedFormat, *shape: int) -> np.ndarray:
        """Anything that the format has; sometimes its ends alone."""
        if self.draw(st.sampled_from([True, False, False])):
            return self.rng.choice([fmt.min_code, fmt.max_code, 0], size=shape)
        return self.rng.integers(fmt.min_code, fmt.max_code + 1, size=shape)

    def shift(self, reach: int, fmt: FixedFormat) -> int:
        """One that fills a format or overfills it, whose sums reach so far."""
        return max(0, reach.bit_length() + 1 - fmt.width - self.draw(st.integers(-1, 6)))

    def linear(
        self,
        x: str,
        inputs: int,
        outputs: int,
        stream: str | None = None,
        first: int = 0,
        wide: tuple[int, ...] = (),
    ) -> str:
        draw, rng = self.draw, self.rng
        fmt = self.format()
        fmt = FixedFormat(draw(st.sampled_from([*wide, *[fmt.width] * 4])), fmt.frac)
        bits = rng.choice(np.array([4, 8], dtype=np.uint8), size=outputs)
        most = (1 << (bits.astype(int) - 1)) - 1
        if draw(st.booleans()):
            weight = np.where(rng.integers(0, 2, (outputs, inputs)) > 0, most[:, None], -most[:, None])
        else:
            weight = rng.integers(-most[:, None], most[:, None] + 1, size=(outputs, inputs))
        reach = 127 * inputs << (self.formats[x].width - 1)
        far = draw(st.sampled_from([0, 1, reach, 1 << 44]))
        bias = rng.integers(-far, far + 1, size=outputs)
        largest = (1 << (MULTIPLIER_BITS - 1)) - 1
        # 62 bits hold an accumulator times a multiplier.
        largest = min(largest, (1 << (61 - (reach + far).bit_length())) - 1)
        multiplier = rng.integers(1, largest + 1, size=outputs)
        multiplier[0] = largest
        reach = min(reach + far, 4 * reach) * largest
        shift = self.shift(reach, fmt)
        lift = 0
        if stream is not None:
            lift = draw(st.integers(0, min(shift + 4, 62 - self.formats[stream].width)))
        return self.add(
            IntegerLinear(
                self.name(), fmt, x, weight.astype(np.int8), bits, bias, multiplier.astype(np.int32), shift,
                "layer", stream, lift, first,
            )
        )  # fmt: skip

    def function(self, x: str) -> str:
        before, fmt = self.formats[x], self.format()
        path = datapath(before, fmt, self.codes(fmt, 1 << before.width))
        return self.add(IntegerFunction(self.name(), fmt, x, path, "layer"))

    def affine(self, x: str, channels: int) -> str:
        before, fmt = self.formats[x], self.format()
        multiplier = self.codes(FixedFormat(MULTIPLIER_BITS, 0), channels)
        bias = self.codes(FixedFormat(self.draw(st.integers(2, 40)), 0), channels)
        reach = int(np.abs(multiplier).max()) << (before.width - 1)
        shift = self.shift(reach, fmt)
        return self.add(
            IntegerAffine(self.name(), fmt, x, multiplier.astype(np.int32), bias.astype(np.int64), shift)
        )

    def norm(self, x: str, channels: int, heads: int) -> str:
        draw, size = self.draw, channels // heads
        formats = self.format(), self.format(), FixedFormat(draw(widths), draw(st.integers(0, 3)))
        output, gamma, beta = formats
        affine = draw(st.sampled_from([True, True, False]))
        eps = draw(st.sampled_from([0.0, 1e-6, 1e-2]))
        given = (gamma, beta) if affine else (None, None)
        try:
            design = LayerNormDesign(size, 1, self.formats[x], output, *given, eps)
        except InputError:
            return self.affine(x, channels)
        codes = [self.codes(fmt, size) for fmt in (gamma, beta)]
        return self.add(IntegerNorm(self.name(), output, x, design, *codes, heads, "layer"))

    def normed(self, x: str, channels: int, heads: int = 1) -> str:
        """What stands before a linear layer, or behind q and k: a norm that is kept, or what replaces one."""
        kinds = ["affine"] + ["norm"] * (channels // heads > 1)
        if self.formats[x].width <= 16:
            kinds += ["none", "function"]
        match self.draw(st.sampled_from(kinds)):
            case "norm":
                return self.norm(x, channels, heads)
            case "affine":
                return self.affine(x, channels)
            case "function":
                return self.function(x)
        return x

    def attention(self, x: str, channels: int, heads: int) -> str:
        q, k = (self.normed(self.linear(x, channels, channels), channels, heads) for _ in "qk")
        return self.attend(q, k, self.linear(x, channels, channels), channels, heads)

    def attend(self, q: str, k: str, v: str, channels: int, heads: int) -> str:
        fmt = self.format()
        reach = channels // heads << (self.formats[q].width + self.formats[k].width - 2)
        scores = self.add(IntegerScores(self.name(), fmt, q, k, heads, self.shift(reach, fmt)))
        output = self.format()
        # Nothing is negative, and the largest score's is not nothing.
        values = np.sort(np.abs(self.codes(output, 1 << fmt.width)).clip(0, output.max_code))
        values[-1 << (fmt.width - 1) :] = max(1, int(values.max()))
        exponentials = datapath(fmt, output, np.roll(values, 1 - (1 << (fmt.width - 1))))
        p = self.add(Exponentials(self.name(), output, scores, exponentials))
        fmt = self.format()
        digits = (output.max_code << self.draw(st.integers(4, 17))).bit_length()
        shift = self.shift(1 << (digits + self.formats[v].width - 1), fmt)
        return self.add(IntegerContext(self.name(), fmt, p, v, heads, digits, shift))


@st.composite
def norms(draw: st.DrawFn) -> IntegerNetwork:
    """A norm of any width over a table of tokens that are hard for it."""
    size, heads = draw(st.integers(2, 40)), draw(st.integers(1, 3))
    make = Builder(draw, np.random.default_rng(draw(st.integers(0, 999))))
    # As often as not the widest, whose V needs more than 64 bits.
    width = draw(st.one_of(st.integers(2, 24), st.just(24)))
    given = FixedFormat(width, draw(st.integers(0, width)))
    hard = hard_tokens(LayerNormDesign(size, 1, given, FixedFormat(8, 4)), 30 * heads)
    codes = hard[: len(hard) // heads * heads].reshape(-1, size * heads).astype(np.int32)
    make.norm(make.add(Table("table", given, codes)), size * heads, heads)
    return IntegerNetwork(PIXEL_VALUES, tuple(make.operations))


@st.composite
def attentions(draw: st.DrawFn) -> IntegerNetwork:
    """Products of codes at the ends of 16 bits, whose sums need more than 32."""
    heads, size, tokens = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    make = Builder(draw, np.random.default_rng(draw(st.integers(0, 999))))
    q, k, v = (
        make.add(Table(name, FixedFormat(16, 8), codes.astype(np.int32)))
        for name in "qkv"
        for codes in [make.codes(FixedFormat(16, 8), tokens, heads * size)]
    )
    make.attend(q, k, v, heads * size, heads)
    return IntegerNetwork(PIXEL_VALUES, tuple(make.operations))


@st.composite
def networks(draw: st.DrawFn) -> tuple[IntegerNetwork, np.ndarray, Codes]:
    """A network, images for it, and their codes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    make = Builder(draw, rng)
    colours, heads = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    channels = heads * draw(st.integers(1, 4))
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    down, across = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    # Pixels that make no patch are left out.
    shape = (colours, height * down + rng.integers(0, height), width * across + rng.integers(0, width))
    x = make.add(IntegerPatches(make.name(), PIXELS, IMAGES, height, width))
    first, table = draw(st.integers(0, 2)), None
    if draw(st.booleans()):
        fmt = make.format()
        codes = make.codes(fmt, first + down * across, channels).astype(np.int32)
        table = make.add(Table(make.name(), fmt, codes))
    stream = make.linear(x, colours * height * width, channels, table, first if table else 0, WIDE)
    tokens = down * across + (first if table else 0)
    for _ in range(draw(st.integers(0, 2))):
        found = make.attention(make.normed(stream, channels), channels, heads)
        stream = make.linear(found, channels, channels, stream, wide=WIDE)
        hidden = draw(st.sampled_from([1, 5, 33]))
        found = make.function(make.linear(make.normed(stream, channels), channels, hidden))
        stream = make.linear(found, hidden, channels, stream, wide=WIDE)
    stream = make.normed(stream, channels)
    if draw(st.booleans()):
        begin = draw(st.integers(0, tokens - 1))
        end, fmt = draw(st.integers(begin + 1, tokens)), make.format()
        multiplier = int(rng.integers(1, 1 << 17))
        shift = make.shift(multiplier * (end - begin) << (make.formats[stream].width - 1), fmt)
        stream = make.add(IntegerPool(make.name(), fmt, stream, begin, end, multiplier, shift))
    make.linear(make.normed(stream, channels), channels, draw(st.integers(1, 40)))
    pixels = Pixels(PIXEL_VALUES.mean[:colours], PIXEL_VALUES.std[:colours])
    return IntegerNetwork(pixels, tuple(make.operations)), *images(draw(st.integers(1, 3)), shape, rng)
