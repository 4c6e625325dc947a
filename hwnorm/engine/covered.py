"""Which integer networks an engine computes: what is the matter with those that it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hwnorm.engine.engine import BIAS_BITS, MULTIPLIER_BITS, STREAM_BITS, Engine
from hwnorm.engine.shapes import ImageSize, tokens_of
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IntegerNetwork
from hwnorm.integers.operations import (
    Exponentials,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerPatches,
    IntegerPool,
    Table,
)

#: Bits of a reciprocal, and the fewest digits of one.
RECIPROCAL_BITS, DIGITS = 17, 16


def beginning(network: IntegerNetwork, image: ImageSize) -> tuple[IntegerPatches, Table, IntegerLinear]:
    """What a network begins with: patches, positions, and the layer that reads both.

    Raises:
        InputError: it begins with something else, or with other images.
    """
    patches = [op for op in network.operations if isinstance(op, IntegerPatches)]
    tables = [op for op in network.operations if isinstance(op, Table)]
    begins = {op.out for op in (*patches, *tables)}
    readers = [op for op in network.operations if begins.intersection(op.reads)]
    if len(patches) != 1 or len(tables) != 1 or len(readers) != 1:
        raise InputError("engine: a network begins with patches and positions, and one layer reads both")
    (cut,), (table,), (embed,) = patches, tables, readers
    if not isinstance(embed, IntegerLinear) or embed.reads != (cut.out, table.out):
        raise InputError(f"layer {embed.out!r}: is no linear layer of patches to which positions are added")
    _, height, width = image
    if height % cut.height or width % cut.width:
        raise InputError(
            f"engine: images of {height} x {width}; whole patches of {cut.height} x {cut.width} are cut"
        )
    has = tokens_of(network, image)[cut.out], image[0] * cut.height * cut.width
    wants = len(table.codes) - embed.first, embed.weight.shape[1]
    if has != wants:
        told = ", ".join("{} patches of {} pixels".format(*each) for each in (has, wants))
        raise InputError(f"engine: images and the network have {told}")
    return cut, table, embed


def faults(network: IntegerNetwork, engine: Engine, image: ImageSize) -> Iterator[str]:
    """Why an engine does not compute a network that begins as it must: one line each.

    Where tensors lie is looked at when they are placed (:mod:`hwnorm.engine.program`).
    """
    formats, tokens = network.formats, tokens_of(network, image)
    read = {name for op in network.operations for name in op.reads}
    by_name = {op.out: op for op in network.operations}
    stream = None
    *before, last = network.operations
    for op in before:
        if op.out not in read:
            yield f"layer {op.out!r}: nothing reads it, and it is not the last one"
    if not isinstance(last, IntegerLinear) or last.residual is not None:
        yield f"layer {last.out!r}: logits are those of a linear layer, added to nothing"
    elif tokens[last.out] != 1:
        yield f"layer {last.out!r}: logits of {tokens[last.out]} tokens; those of one are built"
    for op in network.operations:
        match op:
            case Table():
                if max(int(op.codes.max()), -1 - int(op.codes.min())).bit_length() >= STREAM_BITS:
                    yield f"layer {op.out!r}: codes of more than {STREAM_BITS} bits"
            case IntegerLinear():
                yield from _linear(op, formats)
                if op.residual is not None:
                    if stream is not None and (op.residual, op.first) != (stream, 0):
                        yield f"layer {op.out!r}: is not added to all of {stream!r}, which the engine holds"
                    stream = op.out
            case IntegerNorm():
                yield from _norm(op, stream, engine)
            case IntegerFunction():
                if not isinstance(by_name.get(op.x), (IntegerLinear, IntegerContext, IntegerPool)):
                    yield f"layer {op.out!r}: a function of {op.x!r}, which is no sum"
            case Exponentials():
                yield from _exponentials(op, engine)
            case IntegerContext():
                yield from _reciprocals(op, by_name[op.p], tokens[op.v], engine)
            case IntegerPool():
                if op.multiplier < 0:
                    yield f"layer {op.out!r}: a multiplier of {op.multiplier}; it is not negative"
            case _:
                pass


def _linear(op: IntegerLinear, formats: Mapping[str, FixedFormat]) -> Iterator[str]:
    total = op.accumulator(formats[op.x]).width
    if total > BIAS_BITS:
        yield f"layer {op.out!r}: an accumulator of {total} bits; {BIAS_BITS} are built"
    if int(op.multiplier.min()) < 0 or int(op.multiplier.max()).bit_length() > MULTIPLIER_BITS:
        yield f"layer {op.out!r}: a multiplier that is negative, or of more than {MULTIPLIER_BITS} bits"
    most = np.where(op.bits > 4, 127, 7)
    if (op.largest > most).any():
        yield f"layer {op.out!r}: a weight beyond -7 to 7, or -127 to 127 in a row of 8 bits"


def _norm(op: IntegerNorm, stream: str | None, engine: Engine) -> Iterator[str]:
    design = op.design
    if op.x != stream:
        yield f"layer {op.out!r}: a norm of {op.x!r}, which is not the stream that the engine holds"
    elif op.heads > 1:
        yield f"layer {op.out!r}: norms of each head are not built into the engine yet"
    elif design.input.width != STREAM_BITS:
        yield f"layer {op.out!r}: a norm of {design.input}; codes of {STREAM_BITS} bits are built"
    elif design.output.width != engine.activation_bits:
        yield f"layer {op.out!r}: {design.output}; the engine multiplies {engine.activation_bits} bits"
    elif design.gamma is None:
        yield f"layer {op.out!r}: a norm without gamma and beta is not built into the engine yet"


def _exponentials(op: Exponentials, engine: Engine) -> Iterator[str]:
    if op.format.width != engine.activation_bits:
        yield f"layer {op.out!r}: {op.format}; the engine multiplies {engine.activation_bits} bits"
    if op.table.min() < 0 or op.table[-1] < 1:
        yield f"layer {op.out!r}: a code is negative, or that of the largest score is not positive"


def _reciprocals(op: IntegerContext, softmax: object, tokens: int, engine: Engine) -> Iterator[str]:
    if not isinstance(softmax, Exponentials):
        yield f"layer {op.out!r}: {op.p!r} is no softmax"
        return
    # The divider subtracts sums of codes from as many bits.
    fewest = max(DIGITS, engine.activation_bits + (tokens - 1).bit_length() - 1)
    if op.digits < fewest:
        yield f"layer {op.out!r}: reciprocals of {op.digits} digits; at least {fewest} are built"
    least = max(1, int(softmax.table[-1]) + (tokens - 1) * int(softmax.table.min()))
    if ((1 << op.digits) + least // 2) // least >= 1 << RECIPROCAL_BITS:
        yield f"layer {op.out!r}: a reciprocal of more than {RECIPROCAL_BITS} bits"
