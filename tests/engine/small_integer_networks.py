"""Random integer networks that an engine covers, several for the same hardware."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from engine.small_engines import kernel
from integer.random_integers import PIXEL_VALUES, datapath

from hwnorm.datapath.ir import Datapath
from hwnorm.engine.engine import BIAS_BITS, MULTIPLIER_BITS, SCORE_BITS, STREAM_BITS, Engine
from hwnorm.errors import InputError
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

#: What a network computes before it multiplies, from streams and pre-activations.
EXPRESSIONS = ("tanh(1.7*x)", "0.4*x", "x*sigmoid(1.702*x)", "max(x, 0.0)", "abs(x) - 1.0")

#: Images that a network's scales are chosen from.
SAMPLES = 8

#: Multipliers and tokens of a random engine: what builds in seconds.
LARGEST = 48

#: A tensor's format, and the function that makes codes of the engine's bits of it; none if it has those.
Step = tuple[FixedFormat, Datapath | None]
#: Of a stream, which a LayerNorm may read too.
StreamStep = tuple[FixedFormat, Datapath | LayerNormDesign | None]


@dataclass(frozen=True)
class Hardware:
    """What networks on one engine share: their images, and the functions that they choose from.

    ``image`` is channels, height and width; ``patch`` height and width; ``first`` the tokens before the first
    patch. ``bits`` are those of what is multiplied. Of the streams that are read a ``share`` is read by
    ``norms``, over so many ``channels``; without norms each network has its own.
    """

    image: tuple[int, int, int]
    patch: tuple[int, int]
    first: int
    classes: int
    bits: int
    digits: int
    steps: tuple[Step, ...]
    activations: tuple[Step, ...]
    exponentials: tuple[Datapath, ...]
    channels: int = 0
    norms: tuple[LayerNormDesign, ...] = ()
    share: float = 0.0

    @property
    def patches(self) -> int:
        return self.image[1] // self.patch[0] * (self.image[2] // self.patch[1])

    @property
    def tokens(self) -> int:
        return self.first + self.patches

    def images(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Normalized images (count, C, H, W) of bytes; one of their ends."""
        bytes_ = rng.integers(0, 256, size=(count, *self.image))
        bytes_[0] = rng.choice([0, 255], size=self.image)
        mean, std = (
            np.asarray(of)[: self.image[0], None, None] for of in (PIXEL_VALUES.mean, PIXEL_VALUES.std)
        )
        return (bytes_ / 255 - mean) / std


def _pixels(colours: int) -> Pixels:
    return Pixels(PIXEL_VALUES.mean[:colours], PIXEL_VALUES.std[:colours])


def random_hardware(engine: Engine, rng: np.random.Generator, share: float = 0.0) -> Hardware:
    """What networks on this engine have in common: few tokens or some, of small patches.

    Args:
        engine: what they run on.
        rng: chance; what is drawn for norms leaves the rest as it is.
        share: of the streams that are read, how many by LayerNorms.
    """
    own = rng.spawn(1)[0]
    channels = int(own.integers(2, 30))
    norms = tuple(random_norm(channels, engine, own) for _ in range(own.integers(1, 4)))
    bits = engine.activation_bits
    value = [FixedFormat(bits, int(rng.integers(bits - 3, bits))) for _ in range(4)]
    patch = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    across = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    image = int(rng.integers(1, 4)), patch[0] * across[0], patch[1] * across[1]
    steps: list[Step] = [(FixedFormat(bits, bits - 1), None)]
    # A stream of 16 bits, whose function has some stages, and a narrow one that a table reads.
    wide = FixedFormat(16, int(rng.integers(8, 14)))
    steps.append((wide, kernel(EXPRESSIONS[rng.integers(2)], wide, value[0])))
    width = int(rng.integers(3, 11))
    narrow = FixedFormat(width, width - 2)
    steps.append((narrow, _table(narrow, value[1], rng)))
    activations: list[Step] = []
    for number in range(2):
        before = FixedFormat(12, int(rng.integers(6, 11)))
        if number:
            width = int(rng.integers(2, 10))
            before = FixedFormat(width, width - 2)
            activations.append((before, _table(before, value[2], rng)))
        else:
            chosen = EXPRESSIONS[rng.integers(2, len(EXPRESSIONS))]
            activations.append((before, kernel(chosen, before, value[3])))
    exponentials = [_exponentials(bits, rng) for _ in range(rng.integers(1, 3))]
    # The largest score's code is no less than half of what there is: no reciprocal has more than 17 bits.
    digits = int(rng.integers(16, 16 + bits - 2)) + int(rng.integers(0, 2))
    return Hardware(
        image, patch, int(rng.integers(0, 3)), int(rng.integers(2, 12)), bits, digits,
        tuple(steps), tuple(activations), tuple(exponentials),
        channels if share else 0, norms if share else (), share,
    )  # fmt: skip


def random_norm(channels: int, engine: Engine, rng: np.random.Generator) -> LayerNormDesign:
    """Of points, gammas and betas of any size; eps may be large or nothing."""
    bits = engine.activation_bits
    while True:
        gamma = FixedFormat(int(rng.integers(2, 17)), int(rng.integers(0, 15)))
        beta = FixedFormat(int(rng.integers(2, 17)), int(rng.integers(0, 12)))
        output = FixedFormat(bits, int(rng.integers(bits - 5, bits)))
        if gamma.max_code * gamma.ulp < 2 * output.ulp:
            continue  # its codes would be all the same
        eps = float(rng.choice([0.0, 1e-6, 1e-5, 0.5]))
        stream = FixedFormat(STREAM_BITS, int(rng.integers(4, 15)))
        with suppress(InputError):
            return LayerNormDesign(channels, 1, stream, output, gamma, beta, eps)


def _table(before: FixedFormat, after: FixedFormat, rng: np.random.Generator) -> Datapath:
    return datapath(before, after, rng.integers(after.min_code, after.max_code + 1, size=1 << before.width))


def _exponentials(bits: int, rng: np.random.Generator) -> Datapath:
    """What falls from the largest code to nothing, at a speed by chance."""
    before, after = FixedFormat(SCORE_BITS, int(rng.integers(0, 11))), FixedFormat(bits, bits - 1)
    # 2^x is lowered for x below 1024.
    if rng.integers(2) and before.frac > 1:
        return kernel("exp2(x)", before, after)
    values = np.round(after.max_code * 2.0 ** (np.minimum(before.codes(), 0) * before.ulp))
    return datapath(before, after, values.astype(np.int64))


class _Layers:
    """Adds one operation after the other, and knows what each makes of some images.

    Scales are chosen from that: codes fill their formats or overfill them, and tell images apart.
    """

    def __init__(self, hardware: Hardware, rng: np.random.Generator) -> None:
        self.hardware, self.rng = hardware, rng
        #: The chance of norms.
        self.own = rng.spawn(1)[0]
        self.operations: list[IntegerOperation] = []
        images = hardware.images(SAMPLES, rng)
        self.codes: dict[str, Codes] = {IMAGES: _pixels(hardware.image[0]).codes(images)}

    def add(self, op: IntegerOperation) -> str:
        self.operations.append(op)
        self.codes[op.out] = op(*(self.codes[name] for name in op.reads))
        return op.out

    def name(self) -> str:
        return f"t{len(self.operations)}"

    def step(self) -> Step:
        return self.hardware.steps[self.rng.integers(len(self.hardware.steps))]

    def stream(self) -> StreamStep:
        """What becomes of a stream."""
        hardware, own = self.hardware, self.own
        if own.random() < hardware.share:
            design = hardware.norms[own.integers(len(hardware.norms))]
            return design.input, design
        return self.step()

    def normed(self, x: str, step: StreamStep) -> str:
        fmt, norm = step
        if not isinstance(norm, LayerNormDesign):
            return self.function(x, (fmt, norm))
        assert norm.gamma is not None
        assert norm.beta is not None
        gamma, beta = (
            self.own.integers(f.min_code, f.max_code + 1, size=norm.channels) for f in (norm.gamma, norm.beta)
        )
        # Most betas are about as large as what they are added to.
        beta >>= max(0, norm.beta.width - 1 - norm.beta.frac - int(self.own.integers(0, 3)))
        return self.add(IntegerNorm(self.name(), norm.output, x, norm, gamma, beta, 1, "layer"))

    def shift(self, sums: np.ndarray, fmt: FixedFormat) -> int:
        """One by which sums fill a format, or are about 1 in it, or more; seldom one that leaves nothing."""
        if self.rng.integers(60) == 0:
            return 60
        size = max(1.0, min(fmt.max_code / 2, 1.5 / fmt.ulp))
        return max(0, round(np.log2(max(_spread(sums), 1e-9) / size)) - int(self.rng.integers(-1, 3)))

    def function(self, x: str, step: Step) -> str:
        if step[1] is None:
            return x
        return self.add(IntegerFunction(self.name(), step[1].output, x, step[1], "layer"))

    def linear(self, x: str, outputs: int, fmt: FixedFormat, stream: str | None = None) -> str:
        rng, codes = self.rng, self.codes[x].astype(np.int64)
        inputs, bits = codes.shape[-1], np.full(outputs, 4, dtype=np.uint8)
        match rng.integers(5):
            case 0:
                bits[:] = 8
            case 1:
                bits[rng.integers(outputs)] = 8
            case 2:
                bits[:] = 8
                bits[rng.integers(outputs)] = 4
            case 3:
                bits = rng.choice(np.array([4, 8], dtype=np.uint8), size=outputs)
        most = ((1 << (bits.astype(int) - 1)) - 1)[:, None]
        weight = rng.integers(-most, most + 1, size=(outputs, inputs))
        if rng.integers(3) == 0:
            weight = np.where(rng.integers(0, 2, (outputs, inputs)) > 0, most, -most)
        sums = codes @ weight.T
        # As large as the sums, or as large as an accumulator holds in one row.
        far = int(rng.choice([0, 1, 1 + int(_spread(sums))]))
        bias = rng.integers(-far, far + 1, size=outputs)
        if rng.integers(4) == 0:
            reach = int(np.abs(weight).sum(1).max()) << 7
            bias[rng.integers(outputs)] = rng.choice([-1, 1]) * ((1 << (BIAS_BITS - 1)) - 1 - reach)
        largest = (1 << MULTIPLIER_BITS) - 1
        multiplier = rng.integers(1, largest + 1, size=outputs)
        if rng.integers(3) == 0:
            multiplier = rng.integers(largest // 2, largest + 1, size=outputs)
        multiplier[rng.integers(outputs)] = largest
        sums = (sums + bias) * multiplier
        lift = first = 0
        if stream is not None:
            lift = round(np.log2(max(_spread(sums), 1) / max(_spread(self.codes[stream]), 0.1)))
            lift = min(max(0, lift + int(rng.integers(-2, 3))), 40)
            first = self.hardware.first if isinstance(self.operations[-1], Table) else 0
            sums = sums + (self.codes[stream].astype(np.int64) << lift)[:, first:]
        return self.add(
            IntegerLinear(
                self.name(), fmt, x, weight.astype(np.int8), bits, bias, multiplier.astype(np.int32),
                self.shift(sums, fmt), "layer", stream, lift, first,
            )
        )  # fmt: skip

    def attention(self, x: str, stream: str, step: StreamStep) -> str:
        """The stream behind it; q and k may have other channels than values."""
        rng, heads = self.rng, int(self.rng.integers(1, 4))
        deep = heads * int(rng.integers(1, 6))
        inner = heads * int(rng.integers(1, 6)) if rng.integers(4) == 0 else deep
        steps = [self.step() for _ in "qkv"]
        before = [self.linear(x, size, s[0]) for size, s in zip((deep, deep, inner), steps, strict=True)]
        q, k, v = (self.function(name, s) for name, s in zip(before, steps, strict=True))
        exponentials = self.hardware.exponentials[rng.integers(len(self.hardware.exponentials))]
        fmt, digits = exponentials.input, self.hardware.digits
        # 23 bits hold any sum of so few products.
        sums = IntegerScores("", FixedFormat(32, 0), q, k, heads, 0)(self.codes[q], self.codes[k])
        scores = self.add(IntegerScores(self.name(), fmt, q, k, heads, self.shift(sums, fmt)))
        p = self.add(Exponentials(self.name(), exponentials.output, scores, exponentials))
        out, finer = self.step(), 8
        means = IntegerContext("", FixedFormat(32, 0), p, v, heads, digits, digits - finer)
        sums = means(self.codes[p], self.codes[v]).astype(np.int64) << (digits - finer)
        shift = self.shift(sums, out[0])
        context = self.add(IntegerContext(self.name(), out[0], p, v, heads, digits, shift))
        return self.linear(self.function(context, out), self.codes[stream].shape[-1], step[0], stream)

    def pool(self, x: str) -> str:
        rng, tokens, step = self.rng, self.codes[x].shape[1], self.step()
        first = int(rng.integers(tokens))
        end, multiplier = int(rng.integers(first + 1, tokens + 1)), int(rng.integers(1, 1 << MULTIPLIER_BITS))
        shift = self.shift(self.codes[x][:, first:end].sum(1, dtype=np.int64) * multiplier, step[0])
        found = self.add(IntegerPool(self.name(), step[0], x, first, end, multiplier, shift))
        return self.function(found, step)


def _spread(codes: np.ndarray) -> float:
    """How far a channel's codes of different images and tokens are apart: the median channel's deviation."""
    return float(np.median(codes.astype(float).reshape(-1, codes.shape[-1]).std(0)))


def random_network(hardware: Hardware, rng: np.random.Generator) -> IntegerNetwork:
    """A vision transformer of up to two blocks, each of which may lack one of its parts.

    It tells some images apart: an error on the way is not lost.
    """
    while True:
        make = _drawn(hardware, rng)
        found = make.codes[make.operations[-1].out].reshape(SAMPLES, -1)
        if len(np.unique(found, axis=0)) > 2:
            return IntegerNetwork(_pixels(hardware.image[0]), tuple(make.operations))


def _drawn(hardware: Hardware, rng: np.random.Generator) -> _Layers:
    make = _Layers(hardware, rng)
    channels = int(rng.integers(1, 21))
    channels = hardware.channels or channels
    patches = make.add(IntegerPatches(make.name(), FixedFormat(8, 7), IMAGES, *hardware.patch))
    step, given = make.stream(), FixedFormat(int(rng.integers(2, 17)), 4)
    codes = rng.integers(given.min_code, given.max_code + 1, size=(hardware.tokens, channels))
    table = make.add(Table(make.name(), given, codes.astype(np.int32)))
    stream = make.linear(patches, channels, step[0], table)
    for _ in range(rng.choice(3, p=[0.1, 0.5, 0.4])):
        normed = None
        if rng.integers(4):
            now, step = step, make.stream()
            normed = make.normed(stream, now)
            stream = make.attention(normed, stream, step)
        if rng.integers(4):
            now, step = step, make.stream()
            # Sometimes both layers of a block read the same.
            if normed is None or rng.integers(4):
                normed = make.normed(stream, now)
            activation = hardware.activations[rng.integers(len(hardware.activations))]
            inside = make.linear(normed, int(rng.integers(1, 20)), activation[0])
            stream = make.linear(make.function(inside, activation), channels, step[0], stream)
    x = make.normed(stream, step)
    if hardware.tokens > 1 or rng.integers(2):
        x = make.pool(x)
    width = int(rng.integers(2, 17))
    make.linear(x, hardware.classes, FixedFormat(width, width - 1))
    return make


def random_engine(rng: np.random.Generator) -> Engine:
    """A small array of any shape, for one of the ways to share a multiplier."""
    device, bits, pair = [("xcup", 8, 1), ("xcup", 6, 2), ("ecp5", 8, 1), ("ecp5", 6, 1)][rng.integers(4)]
    tokens = columns = depth = LARGEST
    while tokens * columns * depth > LARGEST:
        tokens = pair * int(rng.integers(1, 9 // pair + 1))
        columns, depth = int(rng.integers(1, 5)), int(rng.integers(1, 9))
    beat, rescale = int(rng.choice([64, 128, 256])), rng.choice(["dsp", "lut"])
    lut_columns = int(rng.integers(0, columns + 1))
    return Engine(tokens, columns, depth, bits, beat, device, str(rescale), lut_columns)


def logits(network: IntegerNetwork, images: np.ndarray) -> list[tuple[int, ...]]:
    """Those of each image, as the integers define them."""
    found: Codes = network.evaluate(images)
    return [tuple(row) for row in found.tolist()]
