"""What an image asks of an engine: its matrix products, whatever the engine is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hwnorm.datapath.ir import Datapath
from hwnorm.engine.covered import DIGITS
from hwnorm.engine.norm_unit import NormUnit, norms_of, unit_of
from hwnorm.engine.phase import SEGMENTS, Kind
from hwnorm.engine.shapes import ImageSize, channels_of, tokens_of
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


@dataclass(frozen=True)
class Product:
    """Matrix products of a kind: ``count`` of (tokens x inputs) by (inputs x rows of 8 and of 4 bits).

    Attributes:
        name: of what they make first.
        count: how many.
        tokens: that are multiplied.
        inputs: products that are summed.
        rows8: rows, keys or channels of values with 8 bits.
        rows4: rows with 4 bits.
        kind: of phase. A norm multiplies nothing.
        span: tokens that there are: those before the first patch, and those that a mean leaves out, too.
        pixels: whether what is multiplied is the image.
    """

    name: str
    count: int
    tokens: int
    inputs: int
    rows8: int
    rows4: int
    kind: Kind
    span: int
    pixels: bool = False

    @property
    def products(self) -> tuple[int, int]:
        """With codes of 4 bits and of 8 bits at the place of weights."""
        each = self.count * self.tokens * self.inputs
        return each * self.rows4, each * self.rows8


@dataclass(frozen=True)
class Workload:
    """All that decides how many cycles an image takes on an engine, and nearly all that decides its memories.

    It has no weight, and nothing of the engine.

    Attributes:
        products: in order of execution, that of pixels first; scores are followed by their context.
        functions: cycles of the slowest function, ``exponentials`` of the slowest exponential.
        digits: of reciprocals.
        norms: the LayerNorm unit, if there is one.
        line: pixels of a patch's row.
    """

    products: tuple[Product, ...]
    functions: int = 1
    exponentials: int = 1
    digits: int = DIGITS
    norms: NormUnit | None = None
    line: int = 1

    @cached_property
    def steps(self) -> tuple[tuple[tuple[Product, ...], ...], tuple[int, ...]]:
        """Products that differ in more than names, scores with their context; and in which order."""
        found: list[tuple[Product, ...]] = []
        for product in self.products:
            alone = (replace(product, name=""),)
            if product.kind == Kind.CONTEXT:
                found[-1] += alone
            else:
                found.append(alone)
        places: dict[tuple[Product, ...], int] = {}
        order = tuple(places.setdefault(step, len(places)) for step in found)
        return tuple(places), order

    @property
    def classes(self) -> int:
        """Logits."""
        return self.products[-1].rows8 + self.products[-1].rows4


def workload_of(network: IntegerNetwork, image: ImageSize) -> Workload:
    """That of an image of so many channels, height and width.

    Raises:
        InputError: as :func:`groups_of`.
    """
    functions = [op.datapath for op in network.operations if isinstance(op, IntegerFunction)]
    exponentials = [op.datapath for op in network.operations if isinstance(op, Exponentials)]
    lines = [op.width for op in network.operations if isinstance(op, IntegerPatches)]
    digits = [op.digits for op in network.operations if isinstance(op, IntegerContext)]
    return Workload(
        tuple(products_of(network, image)),
        latency(functions),
        latency(exponentials),
        max(digits, default=DIGITS),
        unit_of(norms_of(network)),
        max(lines, default=1),
    )


def latency(kernels: Sequence[Datapath]) -> int:
    """Cycles of a unit that has all these kernels: those of the slowest, at least one."""
    return max([1, *(kernel.latency for kernel in kernels)])


def groups_of(network: IntegerNetwork) -> list[list[IntegerOperation]]:
    """Operations by phase: linear layers that read the same codes at a time.

    Raises:
        InputError: an operation that is not built into the engine, or attention in another order than
            scores, exponentials, context.
    """
    groups: list[list[IntegerOperation]] = []
    for op in network.operations:
        if isinstance(op, (IntegerPatches, Table, IntegerFunction, Exponentials)):
            continue
        before = groups[-1][0] if groups else None
        same = isinstance(op, IntegerLinear) and isinstance(before, IntegerLinear)
        # One stream is written at a time.
        same = same and len(op.reads) == 1 and len(groups[-1]) < SEGMENTS
        if isinstance(before, IntegerScores) and not isinstance(op, IntegerContext):
            raise InputError(f"layer {before.out!r}: {op.out!r} comes before its context")
        if isinstance(op, IntegerContext) and not isinstance(before, IntegerScores):
            raise InputError(f"layer {op.out!r}: its scores do not come right before it")
        if same and before is not None and before.reads == op.reads:
            groups[-1].append(op)
        elif isinstance(op, (IntegerLinear, IntegerNorm, IntegerScores, IntegerContext, IntegerPool)):
            groups.append([op])
        else:
            raise InputError(f"layer {op.out!r}: {type(op).__name__} is not built into the engine yet")
    return groups


def products_of(network: IntegerNetwork, image: ImageSize) -> list[Product]:
    """In order of execution; linear layers that are computed together, such as q, k and v, are one product.

    Raises:
        InputError: as :func:`groups_of`.
    """
    tokens, channels = tokens_of(network, image), channels_of(network, image)
    patches = {op.out for op in network.operations if isinstance(op, IntegerPatches)}
    found: list[Product] = []
    for group in groups_of(network):
        match group[0]:
            case IntegerLinear() as op:
                wide = sum(int((each.bits > 4).sum()) for each in group if isinstance(each, IntegerLinear))
                rows = sum(channels[each.out] for each in group)
                inputs, read, written = op.weight.shape[1], tokens[op.x], tokens[op.out]
                found.append(
                    Product(op.out, 1, read, inputs, wide, rows - wide, Kind.LINEAR, written, op.x in patches)
                )
            case IntegerScores() as op:
                n = tokens[op.q]
                each = channels[op.q] // op.heads
                found.append(Product(op.out, op.heads, n, each, n, 0, Kind.SCORES, n))
            case IntegerContext() as op:
                n = tokens[op.v]
                each = channels[op.v] // op.heads
                found.append(Product(op.out, op.heads, n, n, each, 0, Kind.CONTEXT, n))
            case IntegerPool() as op:
                inputs = op.end - op.first
                found.append(Product(op.out, 1, 1, inputs, channels[op.x], 0, Kind.POOL, tokens[op.x]))
            case op:
                found.append(Product(op.out, 1, tokens[op.out], 0, 0, 0, Kind.NORM, tokens[op.out]))
    return found
