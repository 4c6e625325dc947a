"""From a network of real numbers to one of integers, in closed form and in sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.errors import InputError
from hwnorm.expression import ExpressionModule, parse
from hwnorm.fixed import FixedFormat
from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import (
    Add,
    Affine,
    Context,
    Embed,
    Function,
    Linear,
    Norm,
    Operation,
    Patches,
    Pool,
    Scores,
    Softmax,
)
from hwnorm.integers import rows
from hwnorm.integers.formats import Directions, Findings, find_formats, holding
from hwnorm.integers.network import IMAGES, PIXELS, IntegerNetwork, Pixels
from hwnorm.integers.operations import (
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
    product,
)
from hwnorm.integers.prepare import Prepared, prepare, streams
from hwnorm.integers.teacher import TOGETHER, Teacher
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.lowering.lower import lower
from hwnorm.network.ridge import USUAL_STRENGTH, Sums, with_ones
from hwnorm.targets.target import Target
from hwnorm.threads import in_threads, single_threaded

#: Bits of the residual stream, of scores and of what a function in an MLP reads.
STREAM_BITS, SCORE_BITS, PRE_BITS = 16, 12, 12
#: A stream is given so much more room than the calibration images take.
HEADROOM = 1.1
#: How far the share of 8-bit weights may be from the one that is asked for.
RATIO_WITHIN = 0.1


@dataclass(frozen=True)
class Recipe:
    """How a network becomes integers.

    Attributes:
        ratio8: share of the weights' rows that get 8 bits; the others get 4.
        per_layer: the same share of each layer, instead of where the network gains most.
        row_step: 8-bit rows of a layer come in multiples of it.
        activation_bits: of what linear layers and both attention products read.
    """

    ratio8: float = 0.25
    per_layer: bool = False
    row_step: int = 4
    activation_bits: int = 8

    @property
    def probability(self) -> FixedFormat:
        """Of 2^x of a score less the largest: what the product with values reads."""
        return FixedFormat(self.activation_bits, self.activation_bits - 1)


@dataclass(frozen=True)
class Quantized:
    """An integer network and what it was made from.

    It was fitted to so many ``images``. ``left`` says what share of each linear layer's targets' variance its
    codes leave over, ``weights`` what weights and bias they stand for in the prepared graph, and ``made``
    which operation each has become.
    """

    network: IntegerNetwork
    images: int
    prepared: Prepared
    findings: Findings
    left: Mapping[str, float]
    weights: Mapping[str, tuple[Tensor, Tensor]]
    made: Mapping[str, IntegerLinear]


@dataclass(frozen=True)
class Source:
    """A network in real numbers, and what is known of it.

    Attributes:
        graph: with the functions that are to be integers, in floating point.
        teacher: of the original, whose tensors have the same names.
        datapaths: of the functions in the places of norms, by module.
        weights: of the tokens that a layer reads, (tokens,), by module; others weigh alike.
        directions, loss_of: as :func:`hwnorm.integers.formats.find_formats` takes them.
        wide: rows of 8 bits by linear layer, where they are known; the recipe's share is of others.
    """

    graph: Graph
    teacher: Graph
    datapaths: Mapping[str, Datapath]
    weights: Mapping[str, Tensor]
    directions: Directions
    loss_of: Callable[[Tensor], Tensor]
    wide: Mapping[str, Sequence[int]] | None = None


def quantize(
    source: Source,
    pixels: Pixels,
    images: Tensor,
    recipe: Recipe,
    target: Target,
    clock_mhz: float,
    *,
    looked_at: int = 256,
    step: Callable[[], None] = lambda: None,
) -> Quantized:
    """Make integers of a network.

    First every tensor gets a format, and every row its bits. Then, layer by layer in the order of execution:
    the layer is refitted by ridge regression so that, from the codes that it will read, its output (or the
    residual stream behind it) comes back to the teacher's; its rows are rounded on the Gram matrix of these
    codes, and its bias takes up what is left on average. No labels and no gradient steps.

    Args:
        images: training images, float32 (n, C, H, W), normalized.
        looked_at: so many of them decide formats and bits.
        step: is called after each linear layer.
    """
    some = images[:looked_at]
    with single_threaded():
        prepared = prepare(source.graph, some)
        widths = _widths(prepared.graph, recipe, source.datapaths)
        findings = find_formats(prepared.graph, some, widths, source.directions, source.loss_of)
        builder = _Builder(source, prepared, pixels, recipe, findings, target, clock_mhz)
        builder.choose_rows(some)
        left = builder.run(images, step)
    network = IntegerNetwork(pixels, tuple(builder.done))
    return Quantized(network, len(images), prepared, findings, left, builder.weights, builder.linears)


def _widths(graph: Graph, recipe: Recipe, datapaths: Mapping[str, Datapath]) -> dict[str, int]:
    """Bits of each tensor whose format is to be found."""
    found: dict[str, int] = {}
    wide = streams(graph.operations)
    for op in graph.operations:
        readers = graph.consumers(op.out)
        if op.out in wide or isinstance(op, Patches | Softmax) or op.out == graph.output:
            continue
        if any(isinstance(reader, Add | Embed) for reader in readers):
            continue  # joins the stream before it is rounded
        if _kernel_input(graph, op.out, datapaths) is not None:
            continue
        if isinstance(op, Scores):
            found[op.out] = SCORE_BITS
        elif any(isinstance(reader, Norm) for reader in readers):
            found[op.out] = STREAM_BITS
        elif any(isinstance(reader, Function | Affine) for reader in readers):
            found[op.out] = PRE_BITS
        elif not (
            isinstance(op, Function)
            and op.layer in datapaths
            and datapaths[op.layer].output.width == recipe.activation_bits
        ):
            found[op.out] = recipe.activation_bits
    return found


def _kernel_input(graph: Graph, name: str, datapaths: Mapping[str, Datapath]) -> FixedFormat | None:
    """The format that a kernel reads a tensor in, if one of the run's does."""
    for reader in graph.consumers(name):
        if isinstance(reader, Function) and reader.layer in datapaths:
            return datapaths[reader.layer].input
    return None


class _Builder:
    """Makes the operations of an integer network, and carries images through those that are made."""

    def __init__(
        self,
        source: Source,
        prepared: Prepared,
        pixels: Pixels,
        recipe: Recipe,
        findings: Findings,
        target: Target,
        clock_mhz: float,
    ) -> None:
        self.source, self.prepared, self.graph = source, prepared, prepared.graph
        self.pixels, self.recipe, self.findings = pixels, recipe, findings
        self.target, self.clock_mhz = target, clock_mhz
        self.done: list[IntegerOperation] = []
        self.formats: dict[str, FixedFormat] = {IMAGES: PIXELS}
        self.bits: dict[str, npt.NDArray[np.uint8]] = {}
        self.weights: dict[str, tuple[Tensor, Tensor]] = {}
        self.linears: dict[str, IntegerLinear] = {}
        self.made = {op.out: op for op in self.graph.operations}

    # Which rows are wide.

    def choose_rows(self, images: Tensor) -> None:
        """Give each row its bits: those that are known, or by what the output loses with the narrow ones."""
        if self.source.wide is not None:
            for op in self.graph.linears:
                self.bits[op.out] = np.full(len(op.weight), rows.NARROW, dtype=np.uint8)
                self.bits[op.out][self.source.wide[op.out]] = rows.WIDE
            return
        sums = self._float_sums(images)
        orders, gains = {}, []
        for op in self.graph.linears:
            weight, seen = op.weight.double().numpy(), sums[op.out]
            gram, damping = _centred(seen)[0] / seen.total, rows.DAMPING * seen.scarcity()
            lost = []
            for width in (rows.NARROW, rows.WIDE):
                bits = np.full(len(weight), width, dtype=np.uint8)
                scale = rows.scales(weight, gram, bits)
                codes = rows.rounded(weight, gram, scale, bits, damping)
                lost.append(rows.errors(weight, gram, codes, scale))
            gain = (lost[0] - lost[1]) * self.findings.rows[op.out].double().numpy()
            orders[op.out] = np.argsort(-gain, kind="stable")
            gains.append(gain[orders[op.out]])
        # What gains nothing is still wide where there are bits left.
        least = max(float(gain.max()) for gain in gains) * 1e-12 or 1.0
        gains = [np.maximum(gain, least) for gain in gains]
        recipe = self.recipe
        if recipe.per_layer:
            wide = tuple(
                rows.layer_count(len(op.weight), recipe.ratio8, recipe.row_step) for op in self.graph.linears
            )
        else:
            costs = [op.weight.shape[1] * (rows.WIDE - rows.NARROW) for op in self.graph.linears]
            wide = rows.network_counts(gains, costs, recipe.ratio8, recipe.row_step)
        weights = [op.weight.shape[1] for op in self.graph.linears]
        found = np.dot(wide, weights) / np.dot([len(gain) for gain in gains], weights)
        if abs(found - recipe.ratio8) > RATIO_WITHIN:
            raise InputError(
                f"option --row-step: in steps of {recipe.row_step} rows {found:.3f} of the weights get "
                f"8 bits; --ratio8 asks for {recipe.ratio8:g}; a smaller step comes nearer"
            )
        for op, count in zip(self.graph.linears, wide, strict=True):
            bits = np.full(len(op.weight), rows.NARROW, dtype=np.uint8)
            bits[orders[op.out][:count]] = rows.WIDE
            self.bits[op.out] = bits

    def _float_sums(self, images: Tensor) -> dict[str, Sums]:
        """Of what each linear layer reads; nothing is wanted of it."""

        @torch.no_grad()
        def part(some: Tensor) -> dict[str, Sums]:
            sums = {}
            for op, values in self.graph.walk(some):
                if isinstance(op, Linear):
                    x = values[op.x]
                    flat = with_ones(x.flatten(0, 1))
                    sums[op.out] = Sums(flat.shape[-1], 1, x.device)
                    sums[op.out].add(flat, flat[:, -1:], self._token_weights(op, x))
            return sums

        total: dict[str, Sums] = {}
        for sums in in_threads(part, torch.split(images, TOGETHER)):
            for name, found in sums.items():
                total.setdefault(name, Sums(len(found.gram), 1, found.gram.device)).join(found)
        return total

    def _token_weights(self, op: Linear, x: Tensor) -> Tensor | None:
        weight = self.source.weights.get(op.layer)
        return None if weight is None or len(weight) != x.shape[1] else weight.to(x).repeat(len(x))

    # Layer by layer.

    def run(self, images: Tensor, step: Callable[[], None]) -> dict[str, float]:
        """Make every operation; returns what each fit left over."""
        student: dict[str, Codes] = {IMAGES: self.pixels.codes(images.numpy())}
        teacher = Teacher(self.source.teacher, images)
        left: dict[str, float] = {}
        waiting: list[IntegerOperation] = []
        for op in self.graph.operations:
            if isinstance(op, Linear):
                self._carry(waiting, student)
                waiting = []
                made, left[op.out] = self._linear(op, student, teacher)
                for new in made:
                    self._make(new)
                    waiting.append(new)
                step()
            elif isinstance(op, Add | Embed):
                pass  # is part of the layer before it
            else:
                new = self._operation(op)
                self._make(new)
                waiting.append(new)
        return left

    def _make(self, op: IntegerOperation) -> None:
        self.done.append(op)
        self.formats[op.out] = op.format

    def _carry(self, operations: Sequence[IntegerOperation], student: dict[str, Codes]) -> None:
        """Compute some operations, a part of the images at a time; keep what others will read."""
        if not operations:
            return
        inside = {op.out for op in operations}
        made = {op.out for op in self.done}
        kept = [op.out for op in operations if self._is_read_later(op.out, made)]
        count = len(student[IMAGES])
        needed = {name for op in operations for name in op.reads} - inside

        def part(start: int) -> list[Codes]:
            values = {name: _images(student[name], start) for name in needed}
            for op in operations:
                values[op.out] = op(*(values[name] for name in op.reads))
            return [values[name] for name in kept]

        parts = list(in_threads(part, range(0, count, TOGETHER)))
        for i, name in enumerate(kept):
            student[name] = np.concatenate([found[i] for found in parts])
        for name in list(student):
            if name != IMAGES and not self._is_read_later(name, made):
                del student[name]

    def _is_read_later(self, name: str, made: set[str]) -> bool:
        """Whether an operation of the graph that is not made yet reads a tensor."""
        return any(reader.out not in made for reader in self.graph.consumers(name))

    def _operation(self, op: Operation) -> IntegerOperation:
        formats = self.formats
        if isinstance(op, Patches):
            return IntegerPatches(op.out, PIXELS, op.x, op.height, op.width)
        if isinstance(op, Function):
            return self._function(op)
        if isinstance(op, Norm):
            return self._norm(op)
        if isinstance(op, Affine):
            return self._affine(op)
        if isinstance(op, Scores):
            fmt = self._format(op.out)
            shift = formats[op.q].frac + formats[op.k].frac - fmt.frac
            if shift < 0:
                fmt = FixedFormat(fmt.width, fmt.frac + shift)
                shift = 0
            return IntegerScores(op.out, fmt, op.q, op.k, op.heads, shift)
        if isinstance(op, Softmax):
            path = self._lowered("exp2(x)", formats[op.x], self.recipe.probability)
            return Exponentials(op.out, self.recipe.probability, op.x, path)
        if isinstance(op, Context):
            fmt = self._format(op.out)
            # The largest probability of a row is the largest code, and so the least sum.
            digits = (self.recipe.probability.max_code << 17).bit_length() - 1
            shift = digits + formats[op.v].frac - fmt.frac
            return IntegerContext(op.out, fmt, op.p, op.v, op.heads, digits, shift)
        if isinstance(op, Pool):
            fmt = self._format(op.out)
            tokens = op.end - op.first
            shift = 16 + math.ceil(math.log2(tokens))
            multiplier = round(2.0 ** (shift + fmt.frac - formats[op.x].frac) / tokens)
            return IntegerPool(op.out, fmt, op.x, op.first, op.end, multiplier, shift)
        raise InputError(f"operation {op.out!r}: {type(op).__name__} has no integers")

    def _function(self, op: Function) -> IntegerFunction:
        known = self.source.datapaths.get(op.layer)
        fmt = self.formats[op.x]
        if known is not None and known.input == fmt and known.output.width == self.recipe.activation_bits:
            return IntegerFunction(op.out, known.output, op.x, known, op.layer)
        text = known.expression if known is not None else _expression(op.function)
        # Only a kernel of the run, which is built for another input here, keeps its own output.
        output = known.output if op.out not in self.findings.formats and known else self._format(op.out)
        return IntegerFunction(op.out, output, op.x, self._lowered(text, fmt, output), op.layer)

    def _lowered(self, text: str, input: FixedFormat, output: FixedFormat) -> Datapath:
        return lower(parse(text), input, output, self.target, self.clock_mhz)

    def _norm(self, op: Norm) -> IntegerNorm:
        gamma, beta = (p.double().numpy() for p in (op.weight, op.bias))
        fmt = self._format(op.out)
        formats = [holding(16, float(np.abs(p).max()) or 1.0) for p in (gamma, beta)]
        # Beta may have three digits more than the output: the norm has as many before it rounds.
        finest = min(14, fmt.frac + 3)
        formats = [FixedFormat(f.width, max(0, min(f.frac, finest))) for f in formats]
        stream = self.formats[op.x]
        try:
            design = LayerNormDesign(len(gamma), 1, stream, fmt, formats[0], formats[1], op.eps)
        except InputError as error:
            raise InputError(f"layer {op.layer!r}: {error}") from None
        codes = [f.quantize(p) for f, p in zip(formats, (gamma, beta), strict=True)]
        return IntegerNorm(op.out, fmt, op.x, design, codes[0], codes[1], op.heads, op.layer)

    def _affine(self, op: Affine) -> IntegerAffine:
        fmt = self._format(op.out)
        before = self.formats[op.x]
        weight, bias = (p.double().numpy() for p in (op.weight, op.bias))
        ratio = weight * 2.0 ** (fmt.frac - before.frac)
        wide = math.floor(math.log2(((1 << 17) - 1) / max(float(np.abs(ratio).max()), 1e-30)))
        shift = max(0, min(wide, rows.MOST_SHIFT))
        multiplier = np.round(ratio * 2.0**shift).astype(np.int32)
        added = np.round(bias * 2.0 ** (fmt.frac + shift)).astype(np.int64)
        return IntegerAffine(op.out, fmt, op.x, multiplier, added, shift)

    def _format(self, name: str) -> FixedFormat:
        """What was found for a tensor, or its kernel reads; of other streams what holds them."""
        if name in self.findings.formats:
            return self.findings.formats[name]
        kernel = _kernel_input(self.graph, name, self.source.datapaths)
        return kernel or holding(STREAM_BITS, HEADROOM * self.findings.reach[name])

    def _linear(
        self, op: Linear, student: dict[str, Codes], teacher: Teacher
    ) -> tuple[list[IntegerOperation], float]:
        (reader,) = self.graph.consumers(op.out) or (None,)
        joins = reader if isinstance(reader, Add | Embed) else None
        x = torch.from_numpy(student[op.x])
        weight, bias = op.weight.double(), op.bias.double()
        unit_in = self.formats[op.x].ulp
        # Of the values that a layer reads, as its codes have them, and as the graph has them.
        scale_in, zero_in = torch.ones(weight.shape[1]).double(), torch.zeros(weight.shape[1]).double()
        if isinstance(self.made[op.x], Patches):
            size = weight.shape[1] // len(self.pixels.scale)
            scale_in = torch.from_numpy(np.repeat(self.pixels.scale, size))
            zero_in = torch.from_numpy(np.repeat(self.pixels.zero, size))
            bias, weight = bias + weight @ zero_in, weight * scale_in
        gain = self.prepared.gains.get(op.out)
        target = teacher.at(joins.out if isinstance(joins, Add) else op.out)

        def part(start: int) -> Sums:
            some, wanted = (t[start : start + TOGETHER] for t in (x, target))
            if isinstance(joins, Add):
                stream = _images(student[joins.stream], start) * self.formats[joins.stream].ulp
                wanted = wanted - torch.from_numpy(stream).float()
            if gain is not None:
                wanted = wanted * gain
            read = with_ones(some.flatten(0, 1).float() * unit_in)
            found = Sums(read.shape[1], len(weight), read.device)
            found.add(read, wanted.flatten(0, 1).to(read), self._token_weights(op, some))
            return found

        sums = Sums(x.shape[-1] + 1, len(weight), torch.device("cpu"))
        for found in in_threads(part, range(0, len(x), TOGETHER)):
            sums.join(found)
        few = sums.scarcity()
        fitted = sums.solve(USUAL_STRENGTH * few, torch.cat([weight.T, bias[None]]))
        gram, mean = _centred(sums)
        aim = fitted[:-1].T.numpy()
        fmt, residual, table = self._joined(op, joins)
        bits = self.bits[op.out]
        unit = fmt.ulp / unit_in
        scale = rows.Multipliers.of(rows.scales(aim, gram, bits), unit)
        codes = rows.rounded(aim, gram, scale.scales, bits, rows.DAMPING * few)
        better = rows.Multipliers.of(rows.refitted_scales(aim, gram, codes, scale.scales), unit)
        codes = rows.rounded(aim, gram, better.scales, bits, rows.DAMPING * few)
        kept = codes * better.scales[:, None]
        offset = fitted[-1].numpy() + product(aim - kept, mean)
        step = better.scales * unit_in
        error = sums.error(torch.from_numpy(np.concatenate([kept, offset[:, None]], axis=1).T))
        linear = IntegerLinear(
            op.out if joins is None else joins.out,
            fmt,
            op.x,
            codes.astype(np.int8),
            bits,
            np.round(offset / step).astype(np.int64),
            better.multiplier.astype(np.int32),
            better.shift,
            op.layer,
        )
        made: list[IntegerOperation] = [linear]
        if joins is not None:
            before = table.format if table is not None else self.formats[residual]
            lift = fmt.frac + linear.shift - before.frac
            if lift < 0:
                raise InputError(f"layer {op.out!r}: its stream {before} is finer than its rescaling")
            first = joins.prefix if isinstance(joins, Embed) else 0
            linear = replace(linear, residual=residual, lift=lift, first=first)
            made = [linear] if table is None else [table, linear]
        real = torch.from_numpy(kept) / scale_in
        added = torch.from_numpy(linear.bias * step) - real @ zero_in
        self.weights[op.out] = (real.float(), added.float())
        self.linears[op.out] = linear
        return made, error / max(sums.variance, 1e-30)

    def _joined(self, op: Linear, joins: Operation | None) -> tuple[FixedFormat, str, Table | None]:
        """The format of what a layer makes, the stream that it joins, and the table if that is one."""
        if isinstance(joins, Add):
            return self._format(joins.out), joins.stream, None
        if isinstance(joins, Embed):
            fmt = self._format(joins.out)
            codes = fmt.quantize(joins.table.double().numpy()).astype(np.int32)
            table = Table(f"{joins.out}.table", fmt, codes)
            return fmt, table.out, table
        return self._format(op.out), "", None


def _images(codes: Codes, start: int) -> Codes:
    """Some images' codes; of a table, which is all images', the table."""
    return codes if len(codes) == 1 else codes[start : start + TOGETHER]


def _centred(sums: Sums) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The Gram matrix of inputs less their mean, and the mean; the last input is a one."""
    gram = sums.gram.numpy()
    mean = gram[-1, :-1] / sums.total
    return gram[:-1, :-1] - sums.total * np.outer(mean, mean), mean


def _expression(function: nn.Module) -> str:
    """An elementwise module as text."""
    if isinstance(function, nn.Identity):
        return "x"
    if isinstance(function, ExpressionModule):
        return str(function.expression)
    if isinstance(function, FixedPointFunction):
        return function.expression
    name = type(function).__name__
    if name == "GELU" and getattr(function, "approximate", "none") == "none":
        return "0.5*x*(1+erf(0.7071067811865476*x))"
    known = {
        "GELU": "0.5*x*(1+tanh(0.7978845608028654*x*(1+0.044715*x*x)))",
        "GELUTanh": "0.5*x*(1+tanh(0.7978845608028654*x*(1+0.044715*x*x)))",
        "QuickGELU": "x*sigmoid(1.702*x)",
        "SiLU": "x*sigmoid(x)",
        "ReLU": "relu(x)",
    }
    return known[name]
