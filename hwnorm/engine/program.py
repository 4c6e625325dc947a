"""An integer network scheduled on an engine: phases, tiles of weights, and where each tensor lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hwnorm.datapath.ir import Datapath
from hwnorm.engine.covered import DIGITS, beginning, faults
from hwnorm.engine.engine import BIAS_BITS, MULTIPLIER_BITS, PIXEL_BITS, SCORE_BITS, STREAM_BITS, Engine
from hwnorm.engine.norm_unit import NormUnit, norms_of, unit_of
from hwnorm.engine.phase import FIELDS, SEGMENT, Kind, Phase, Segment, Target, descriptor
from hwnorm.engine.shapes import ImageSize, channels_of, tokens_of
from hwnorm.engine.work import groups_of, products_of
from hwnorm.errors import InputError
from hwnorm.integers.network import IntegerNetwork
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


@dataclass(frozen=True, eq=False)
class Row:
    """A row of weights where it stands in its tile, with what the epilogue needs for it."""

    op: IntegerLinear
    index: int
    segment: int
    high: int
    low: int

    def parameters(self) -> int:
        """Its 64 bits: bias, multiplier, segment, lane and word that its codes go to."""
        bias, multiplier = int(self.op.bias[self.index]), int(self.op.multiplier[self.index])
        return (
            (bias & ((1 << BIAS_BITS) - 1))
            | multiplier << BIAS_BITS
            | self.segment << 46
            | self.low << 48
            | self.high << 53
        )


@dataclass(frozen=True, eq=False)
class Tile:
    """Rows that are multiplied together, all of them held in ``bits`` bits."""

    bits: int
    rows: tuple[Row, ...]
    words: int


@dataclass(frozen=True, eq=False)
class Layers:
    """Linear layers of a phase, and where each one's codes go."""

    ops: tuple[IntegerLinear, ...]
    places: tuple[Place, ...]

    def tiles(self, engine: Engine, phase: Phase) -> Iterator[Tile]:
        """Their rows, those of 8 bits first."""
        numbers = np.repeat(np.arange(len(self.ops)), [len(op.weight) for op in self.ops])
        indices = np.concatenate([np.arange(len(op.weight)) for op in self.ops])
        narrow = np.concatenate([op.bits <= 4 for op in self.ops])
        rows = iter(np.argsort(narrow, kind="stable").tolist())
        for bits, tiles, whole, last in (
            (8, phase.tiles8, engine.rows8, phase.rows8),
            (4, phase.tiles4, engine.rows4, phase.rows4),
        ):
            for tile in range(tiles):
                some = islice(rows, last if tile + 1 == tiles else whole)
                made = tuple(self._row(int(numbers[row]), int(indices[row])) for row in some)
                # Words that are read twice come once.
                yield Tile(bits, made, phase.words // (1 + phase.halves))

    def _row(self, number: int, index: int) -> Row:
        return Row(self.ops[number], index, number, *self.places[number](index))


@dataclass(frozen=True)
class Sizes:
    """Words of the engine's memories that programs need, and what else their hardware is made for.

    ``digits`` of a program without attention are 0, those of hardware never. ``norms`` are words of gamma and
    beta, of norms over ``norm_channels``; 0 both where there is none.
    """

    activations: int
    keys: int
    values: int
    probabilities: int
    stream: int
    weights: int
    tokens: int
    classes: int
    digits: int
    sum_bits: int
    total_bits: int
    phases: int
    norms: int
    norm_channels: int

    @staticmethod
    def covering(sizes: Sequence[Sizes]) -> Sizes:
        """The sizes of hardware that all these programs run on.

        Raises:
            InputError: they are of networks with different classes, digits of reciprocals or channels of
                norms, of which an engine has one number.
        """
        found = {field.name: [getattr(each, field.name) for each in sizes] for field in fields(Sizes)}
        for name, what in (
            ("classes", "classes"),
            ("digits", "digits of reciprocals"),
            ("norm_channels", "channels of norms"),
        ):
            known = sorted({*found[name]} - {0})
            if len(known) > 1:
                raise InputError(f"engine: networks of {known} {what}; all have as many")
        most = {name: max(values) for name, values in found.items()}
        return Sizes(**most | {"digits": most["digits"] or DIGITS})


@dataclass(frozen=True, eq=False)
class Program:
    """What an engine does for an image.

    ``functions`` and ``exponentials`` are the hardware's kernels, which phases number: functions from 1,
    exponentials from 0, as the ``norms`` of its unit. ``layers`` are those of the linear phases.
    ``sizes`` are the hardware's: it may be built for more than this program.
    """

    engine: Engine
    network: IntegerNetwork
    phases: tuple[Phase, ...]
    layers: tuple[Layers, ...]
    functions: tuple[Datapath, ...]
    exponentials: tuple[Datapath, ...]
    norms: tuple[LayerNormDesign, ...]
    patches: IntegerPatches
    image: ImageSize
    table: npt.NDArray[np.int64]
    first: int
    sizes: Sizes

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Of all linear phases, in the order in which they are streamed."""
        linears = [phase for phase in self.phases if phase.op == Kind.LINEAR]
        pairs = zip(self.layers, linears, strict=True)
        return tuple(tile for layers, phase in pairs for tile in layers.tiles(self.engine, phase))

    @cached_property
    def products(self) -> tuple[int, int]:
        """Products of an image that the network asks for, by weights of 4 bits and by codes of 8 bits."""
        found = [product.products for product in products_of(self.network, self.image)]
        return sum(four for four, _ in found), sum(eight for _, eight in found)

    @property
    def norm_unit(self) -> NormUnit | None:
        """The hardware's; none where no program has a norm."""
        return unit_of(self.norms)

    @property
    def ideal_cycles(self) -> float:
        """Cycles if every multiplier made its products in every one of them."""
        return sum(n / each for n, each in zip(self.products, self.engine.products, strict=True))


def compile_program(network: IntegerNetwork, engine: Engine, image: ImageSize) -> Program:
    """Schedule a network on an engine.

    Args:
        network: what to compute.
        engine: on what.
        image: channels, height and width of an image.

    Raises:
        InputError: an operation, a format or a size that this engine is not built for; names the layer.
    """
    return compile_programs([network], engine, image)[0]


def compile_programs(
    networks: Sequence[IntegerNetwork], engine: Engine, image: ImageSize
) -> tuple[Program, ...]:
    """Schedule several networks on one engine: the hardware of any of the programs runs all of them.

    Their kernels are numbered together, and its memories are as large as the largest program asks for.
    Images, patches, tokens before the first patch, and classes are the hardware's: all have the same.

    Args:
        networks: what to compute; at least one.
        engine: on what.
        image: channels, height and width of an image.

    Raises:
        InputError: as :func:`compile_program`; or the networks differ in what they must share.
    """
    kernels = _Kernels([], [], [])
    programs = [_Compiler(network, engine, image, kernels).program() for network in networks]
    begins = [(p.patches.height, p.patches.width, p.first) for p in programs]
    for other in begins:
        if other != begins[0]:
            told = ", ".join("{} x {} behind {} tokens".format(*each) for each in (begins[0], other))
            raise InputError(f"engine: networks of patches of {told}; all have the same")
    sizes = Sizes.covering([program.sizes for program in programs])
    functions, exponentials = tuple(kernels.functions), tuple(kernels.exponentials)
    norms = tuple(kernels.norms)
    unit = unit_of(norms)
    for fault in () if unit is None else unit.faults():
        raise InputError(f"engine: {fault}")
    return tuple(
        replace(program, functions=functions, exponentials=exponentials, norms=norms, sizes=sizes)
        for program in programs
    )


#: Word and lane of a channel, in a memory of so many lanes a word.
Place = Callable[[int], tuple[int, int]]

_K = TypeVar("_K", Datapath, LayerNormDesign)

#: What makes codes.
_Written = IntegerLinear | IntegerContext | IntegerPool | IntegerNorm


def _alone(channel: int) -> tuple[int, int]:
    """A word a channel."""
    return channel, 0


@dataclass
class _Region:
    """Where a tensor lies in the memory of activations: words of each tile of tokens, base and lifetime."""

    stride: int
    tiles: int
    born: int
    dies: int
    base: int = 0
    place: Place = _alone


@dataclass(frozen=True)
class _Kernels:
    """Those that the hardware has, in the order of their numbers."""

    functions: list[Datapath]
    exponentials: list[Datapath]
    norms: list[LayerNormDesign]


class _Compiler:
    def __init__(self, network: IntegerNetwork, engine: Engine, image: ImageSize, kernels: _Kernels) -> None:
        self.network, self.engine, self.image = network, engine, image
        self.formats = network.formats
        self.tokens, self.channels = tokens_of(network, image), channels_of(network, image)
        self.by_name = {op.out: op for op in network.operations}
        self.consumers: dict[str, list[IntegerOperation]] = {}
        for op in network.operations:
            for name in op.reads:
                self.consumers.setdefault(name, []).append(op)
        self.functions, self.exponentials, self.norms = kernels.functions, kernels.exponentials, kernels.norms
        #: Words of gamma and beta of the norms so far.
        self.affine = self.highest = 0
        self.groups = groups_of(network)
        # A context's first heads are written before the last ones' scores are computed.
        self.when = {
            op.out: i + isinstance(op, IntegerScores) for i, group in enumerate(self.groups) for op in group
        }
        #: Of the memories of keys and of values: what they hold, and up to which phase.
        self.held: dict[Target, tuple[str, int]] = {}
        self.regions: dict[str, _Region] = {}

    # ---- where codes go ----

    def _finished(self, op: IntegerOperation) -> tuple[str, Datapath | None]:
        """The tensor that is written where an operation's codes go, and the function on the way."""
        consumers = self.consumers.get(op.out, [])
        functions = [c for c in consumers if isinstance(c, IntegerFunction)]
        if len(functions) > 1:
            raise InputError(f"layer {op.out!r}: {len(functions)} functions read it; the engine applies one")
        if functions:
            for other in consumers:
                added = isinstance(other, IntegerLinear) and other.residual == op.out != other.x
                added = added or isinstance(other, IntegerNorm)
                if other is not functions[0] and not added:
                    raise InputError(f"layer {op.out!r}: a function and {other.out!r} read it; one is built")
            return functions[0].out, functions[0].datapath
        return op.out, None

    def _target(self, name: str) -> Target:
        """Where the consumers of a tensor want it."""
        found = set()
        for op in self.consumers.get(name, []):
            match op:
                case IntegerScores():
                    found |= {Target.ACTIVATIONS} if op.q == name else set()
                    found |= {Target.KEYS} if op.k == name else set()
                case IntegerContext():
                    found.add(Target.VALUES)
                case IntegerPool():
                    found.add(Target.VALUES)
                case IntegerLinear() if op.x == name:
                    found.add(Target.ACTIVATIONS)
                case IntegerLinear() | IntegerNorm():
                    pass
                case _:
                    raise InputError(
                        f"layer {op.out!r}: {type(op).__name__} of {name!r} is not built into the engine yet"
                    )
        if not found:
            return Target.LOGITS if name == self.network.operations[-1].out else Target.STREAM
        if len(found) > 1:
            places = " and ".join(sorted(t.name.lower() for t in found))
            raise InputError(f"layer {name!r}: goes to {places}; to one only")
        return found.pop()

    # ---- where tensors lie ----

    def _tiles(self, tensor: str) -> int:
        return -(-self.tokens[tensor] // self.engine.tokens)

    def _plain(self, channel: int) -> tuple[int, int]:
        return channel // self.engine.depth, channel % self.engine.depth

    def _by_head(self, channels: int, heads: int, lanes: int) -> tuple[Place, int]:
        """Each head begins a new word of so many lanes: where a channel lies, and words of all."""
        each = channels // heads
        words = -(-each // lanes)
        return lambda c: (c // each * words + c % each // lanes, c % each % lanes), words * heads

    def _heads_of(self, name: str) -> int:
        found = {getattr(op, "heads", 1) for op in self.consumers[name]}
        if len(found) > 1:
            raise InputError(
                f"layer {name!r}: read as {sorted(found)} heads; the engine writes it as one of these"
            )
        return int(found.pop())

    def _place(self, name: str, channels: int, born: int) -> _Region:
        """A region for a tensor that is written in phase ``born``."""
        readers = [self.when[op.out] for op in self.consumers[name]]
        place, words = self._by_head(channels, self._heads_of(name), self.engine.depth)
        region = _Region(words, self._tiles(name), born, max(readers), place=place)
        size = region.stride * region.tiles
        taken = sorted(
            (r.base, r.base + r.stride * r.tiles)
            for r in self.regions.values()
            if r.born <= region.dies and region.born <= r.dies
        )
        for start, end in taken:
            if region.base + size <= start:
                break
            region.base = max(region.base, end)
        self.regions[name] = region
        return region

    # ---- phases ----

    def program(self) -> Program:
        engine = self.engine
        phases: list[Phase] = []
        layers: list[Layers] = []
        patches, table, embed = beginning(self.network, self.image)
        for fault in faults(self.network, self.engine, self.image):
            raise InputError(fault)
        done = 0
        index = 0
        while index < len(self.groups):
            group = self.groups[index]
            match group[0]:
                case IntegerLinear():
                    phase, made = self._linear(group, index)  # type: ignore[arg-type]
                    phases.append(phase)
                    layers.append(made)
                case IntegerScores():
                    context = self.groups[index + 1][0]
                    assert isinstance(context, IntegerContext)
                    more, done = self._attention(group[0], context, index, done)
                    phases += more
                    index += 1
                case IntegerNorm():
                    phases.append(self._norm(group[0], index))
                case IntegerPool():
                    phases.append(self._pool(group[0], index))
            index += 1
        phases.append(Phase(Kind.END, name="end"))
        positions = table.codes.astype(np.int64)
        program = Program(
            engine,
            self.network,
            tuple(phases),
            tuple(layers),
            tuple(self.functions),
            tuple(self.exponentials),
            tuple(self.norms),
            patches,
            self.image,
            positions,
            embed.first,
            self._sizes(phases, positions),
        )
        for fault in _overfull(program, self.highest):
            raise InputError(f"engine: {fault}")
        return program

    def _function(self, datapath: Datapath | None) -> int:
        if datapath is None:
            return 0
        if datapath.output.width != self.engine.activation_bits:
            raise InputError(
                f"function {datapath.expression}: {datapath.output}; the engine multiplies "
                f"{self.engine.activation_bits} bits"
            )
        return 1 + _numbered(datapath, self.functions, (1 << SEGMENT["function"]) - 1, "functions")

    def _written(self, op: _Written, channels: int, born: int) -> tuple[Segment, Place, int, int]:
        """How and where an operation's codes are written: segment, places of channels, and strides."""
        name, datapath = self._finished(op)
        target = self._target(name)
        base = stride = v_stride = 0
        place: Place = _alone
        if target == Target.ACTIVATIONS:
            region = self._place(name, channels, born)
            base, place, stride = region.base, region.place, region.stride
        elif target == Target.STREAM:
            place = self._plain
        elif target == Target.KEYS:
            place, stride = self._by_head(channels, self._heads_of(name), self.engine.depth)
        elif target == Target.VALUES:
            place, v_stride = self._by_head(channels, self._heads_of(name), self.engine.rows8)
        if target in (Target.KEYS, Target.VALUES):
            before, until = self.held.get(target, ("", -1))
            if born <= until:
                raise InputError(f"layer {op.out!r}: overwrites {before!r} before all of it is read")
            self.held[target] = name, max(self.when[reader.out] for reader in self.consumers[name])
        width = op.format.width
        function = self._function(datapath)
        multiplied = target not in (Target.LOGITS, Target.STREAM)
        if multiplied and not function and width != self.engine.activation_bits:
            raise InputError(
                f"layer {op.out!r}: {op.format}; the engine multiplies {self.engine.activation_bits} bits"
            )
        if width > STREAM_BITS:
            raise InputError(f"layer {op.out!r}: {op.format}; codes of at most {STREAM_BITS} bits are built")
        stream = isinstance(op, IntegerLinear) and op.residual is not None
        if stream and place(channels - 1) != self._by_head(channels, 1, self._lanes(target))[0](channels - 1):
            raise InputError(f"layer {op.out!r}: a stream that is read by head")
        shift = op.design.r_width + 1 if isinstance(op, IntegerNorm) else op.shift
        segment = Segment(base, shift, width, target, function, stream)
        return segment, place, stride, v_stride

    def _linear(self, ops: Sequence[IntegerLinear], born: int) -> tuple[Phase, Layers]:
        engine, first = self.engine, ops[0]
        inputs = first.weight.shape[1]
        image = isinstance(self.by_name[first.x], IntegerPatches)
        halves = image and engine.activation_bits < PIXEL_BITS
        if image:
            source = _Region(self._plain(inputs - 1)[0] + 1, self._tiles(first.x), 0, 0, place=self._plain)
        else:
            source = self._source(first.x)
        segments: list[Segment] = []
        places: list[Place] = []
        strides = {0}, {0}
        for op in ops:
            segment, place, *each = self._written(op, len(op.weight), born)
            segments.append(segment)
            places.append(place)
            # Places grow with channels.
            self.highest = max(self.highest, place(len(op.weight) - 1)[0])
            for known, stride in zip(strides, each, strict=True):
                known.add(stride)
        for known in strides:
            if len(known) > 2:
                raise InputError(f"layer {first.out!r}: is written beside {ops[-1].out!r} with other strides")
        eights = sum(int((op.bits > 4).sum()) for op in ops)
        tiles8, rows8, tiles4, rows4 = engine.tiles(eights, sum(len(op.weight) for op in ops) - eights)
        residual = first.residual
        table = residual is not None and isinstance(self.by_name[residual], Table)
        phase = Phase(
            Kind.LINEAR,
            image=image,
            halves=halves,
            a_base=source.base,
            # Tokens before the first patch have words of their own in the image's memory.
            a_stride=source.stride,
            words=source.stride * (1 + halves),
            tiles=self._tiles(first.out),
            tiles8=tiles8,
            tiles4=tiles4,
            rows8=rows8,
            rows4=rows4,
            offset_stride=max(strides[0]),
            v_stride=max(strides[1]),
            stream_stride=len(first.weight) if residual is not None else 0,
            residual=residual is not None,
            table=table,
            lift=first.lift,
            first=first.first if residual is not None else 0,
            segments=tuple(segments),
            name=" ".join(op.out for op in ops),
        )
        return phase, Layers(tuple(ops), tuple(places))

    def _source(self, name: str) -> _Region:
        if name not in self.regions:
            raise InputError(f"layer {name!r}: is read as activations, and not written there before")
        return self.regions[name]

    def _lanes(self, target: Target) -> int:
        """Channels that a word of a memory has."""
        return self.engine.rows8 if target == Target.VALUES else self.engine.depth

    def _attention(
        self, scores: IntegerScores, context: IntegerContext, born: int, done: int
    ) -> tuple[list[Phase], int]:
        """Phases of all heads: the context of a head comes after the scores of the next one."""
        engine, heads = self.engine, scores.heads
        softmax, *others = self.consumers[scores.out]
        if others or not isinstance(softmax, Exponentials) or self.consumers[softmax.out] != [context]:
            raise InputError(f"layer {scores.out!r}: one softmax reads it, and one context that")
        if scores.format.width != SCORE_BITS:
            raise InputError(f"layer {scores.out!r}: {scores.format}; scores of {SCORE_BITS} bits are built")
        exponential = _numbered(
            softmax.datapath, self.exponentials, 1 << FIELDS["exponential"][0], "exponentials"
        )
        q = self._source(scores.q)
        tokens, tiles = self.tokens[scores.q], self._tiles(scores.q)
        channels = self.channels[context.v]
        each = channels // heads
        parts, last_part = engine.parts(each)
        deep, words = self.channels[scores.q] // heads, q.stride // heads
        depth = engine.keys_words(tokens)
        segment, place, stride, v_stride = self._written(context, channels, born + 1)
        last = tokens - (tiles - 1) * engine.tokens
        firsts, seconds = [], []
        for head in range(heads):
            slot = head % 2
            high, low = place(head * each)
            firsts.append(
                Phase(
                    Kind.SCORES,
                    a_base=q.base + head * words,
                    a_stride=q.stride,
                    words=words,
                    tiles=tiles,
                    keys=tiles,
                    keys_last=last,
                    b_base=head * words,
                    b_stride=q.stride,
                    lanes=deep - (words - 1) * engine.depth,
                    token_to=tokens,
                    offset_stride=depth,
                    multiplier=1,
                    exponential=exponential,
                    slot=slot,
                    segments=(
                        Segment(slot * tiles * depth, scores.shift, scores.format.width, Target.SCORES),
                    ),
                    name=f"{scores.out} head {head}",
                )
            )
            seconds.append(
                Phase(
                    Kind.CONTEXT,
                    a_base=slot * tiles * depth,
                    a_stride=depth,
                    words=depth,
                    tiles=tiles,
                    tiles8=parts,
                    rows8=last_part,
                    b_base=head * parts,
                    b_stride=parts * heads,
                    token_to=tokens,
                    need=done + (head + 1) * tiles,
                    offset_stride=stride,
                    v_stride=v_stride,
                    high=high,
                    low=low,
                    slot=slot,
                    segments=(segment,),
                    name=f"{context.out} head {head}",
                )
            )
        order = [firsts[0]]
        for head in range(1, heads):
            order += [firsts[head], seconds[head - 1]]
        return [*order, seconds[-1]], done + heads * tiles

    def _norm(self, op: IntegerNorm, born: int) -> Phase:
        if self._heads_of(op.out) > 1:
            raise InputError(f"layer {op.out!r}: a norm that is read by head is not built yet")
        number = _numbered(op.design, self.norms, 1 << SEGMENT["function"], "norms")
        segment, _, stride, v_stride = self._written(op, self.channels[op.out], born)
        base, self.affine = self.affine, self.affine + op.design.channels
        return Phase(
            Kind.NORM,
            tiles=self._tiles(op.out),
            b_base=base,
            offset_stride=stride,
            v_stride=v_stride,
            segments=(replace(segment, function=number),),
            name=op.out,
        )

    def _pool(self, op: IntegerPool, born: int) -> Phase:
        engine = self.engine
        channels = self.channels[op.x]
        segment, _, stride, v_stride = self._written(op, channels, born)
        multiplier, shift = op.multiplier, op.shift
        while multiplier >= 1 << MULTIPLIER_BITS and multiplier % 2 == 0 and shift:
            multiplier, shift = multiplier // 2, shift - 1
        if multiplier >= 1 << MULTIPLIER_BITS:
            raise InputError(f"layer {op.out!r}: a multiplier of more than {MULTIPLIER_BITS} bits")
        parts, last = engine.parts(channels)
        return Phase(
            Kind.POOL,
            words=engine.keys_words(self.tokens[op.x]),
            tiles8=parts,
            rows8=last,
            b_stride=parts,
            token_from=op.first,
            token_to=op.end,
            offset_stride=stride,
            v_stride=v_stride,
            multiplier=multiplier,
            segments=(replace(segment, shift=shift),),
            name=op.out,
        )

    def _sizes(self, phases: Sequence[Phase], table: npt.NDArray[np.int64]) -> Sizes:
        engine, formats = self.engine, self.formats
        most = {"keys": 1, "values": 1, "probabilities": 1}
        digits = {op.digits for op in self.network.operations if isinstance(op, IntegerContext)}
        if len(digits) > 1:
            raise InputError(f"engine: reciprocals of {sorted(digits)} digits; one number of them is built")
        sums, totals = [SCORE_BITS + 12], [STREAM_BITS + 2]
        for op in self.network.operations:
            # Half of what is shifted out is added.
            totals.append(getattr(op, "shift", 0) + 1)
            match op:
                case IntegerLinear():
                    width = op.accumulator(formats[op.x]).width
                    sums.append(width)
                    totals.append(width + MULTIPLIER_BITS + 1)
                    if op.residual is not None:
                        totals.append(formats[op.residual].width + op.lift + 2)
                    name, _ = self._finished(op)
                    for kind, count in self._words_of(name, len(op.weight)).items():
                        most[kind] = max(most[kind], count)
                case IntegerNorm():
                    for kind, count in self._words_of(op.out, op.design.channels).items():
                        most[kind] = max(most[kind], count)
                case IntegerScores():
                    each = self.channels[op.k] // op.heads
                    width = (each << (formats[op.q].width + formats[op.k].width - 2)).bit_length() + 1
                    sums.append(width)
                    totals.append(width + 1)
                    tokens = self.tokens[op.q]
                    count = 2 * self._tiles(op.q) * engine.keys_words(tokens)
                    most["probabilities"] = max(most["probabilities"], count)
                case IntegerContext():
                    tokens = self.tokens[op.v]
                    width = (tokens << (formats[op.p].width + formats[op.v].width - 2)).bit_length() + 1
                    sums.append(width)
                    totals.append(width + MULTIPLIER_BITS + 1)
                case IntegerPool():
                    width = ((op.end - op.first) << (formats[op.x].width - 1)).bit_length() + 1
                    sums.append(width)
                    totals.append(width + MULTIPLIER_BITS + 1)
        own = norms_of(self.network)
        unit = unit_of(own)
        if unit is not None:
            sums.append(unit.a_width)
            totals.append(unit.a_width + own[0].r_width + 1)
        stream = -(-len(table) // engine.tokens) * table.shape[1]
        return Sizes(
            activations=max((r.base + r.stride * r.tiles for r in self.regions.values()), default=1),
            keys=most["keys"],
            values=most["values"],
            probabilities=most["probabilities"],
            stream=stream,
            weights=max(p.words // (1 + p.halves) for p in phases if p.op == Kind.LINEAR),
            tokens=len(table),
            classes=self.channels[self.network.operations[-1].out],
            digits=digits.pop() if digits else 0,
            sum_bits=max(sums),
            total_bits=max(totals),
            phases=len(phases),
            norms=self.affine,
            norm_channels=0 if unit is None else unit.channels,
        )

    def _words_of(self, name: str, channels: int) -> dict[str, int]:
        """Words of keys and values that a tensor takes."""
        target = self._target(name)
        lanes = {Target.KEYS: self.engine.depth, Target.VALUES: self.engine.rows8}.get(target)
        if lanes is None:
            return {}
        _, words = self._by_head(channels, self._heads_of(name), lanes)
        return {"keys" if target == Target.KEYS else "values": words * self._tiles(name)}


def _numbered(kernel: _K, known: list[_K], most: int, what: str) -> int:
    """Its place among those that the hardware has, to which a new one is added."""
    if kernel not in known:
        if len(known) == most:
            raise InputError(f"engine: more than {most} {what}; no more can be numbered")
        known.append(kernel)
    return known.index(kernel)


def _overfull(program: Program, highest: int) -> Iterator[str]:
    """What the hardware has no bits for, one line each; ``highest`` is the last word of a row's codes."""
    sizes, engine = program.sizes, program.engine
    image = 2 * -(-len(program.table) // engine.tokens) * program.phases[0].a_stride
    words = ("activations", "keys", "values", "probabilities", "stream", "norms")
    limits = [(f"words of {name}", getattr(sizes, name), 1 << 16) for name in words]
    limits += [
        ("words of images", image, 1 << 16),
        ("words of a row's codes", 1 + highest, 1 << 11),
        ("tokens", sizes.tokens, (1 << 12) - 1),
        ("tiles of scores", max(phase.need for phase in program.phases), (1 << 15) - 1),
    ]
    for what, found, most in limits:
        if found > most:
            yield f"{found} {what}; at most {most} can be"
    for phase in program.phases:
        try:
            descriptor(phase)
        except OverflowError as error:
            yield str(error)
