"""A phase: what the engine does between two waits, and the bits that say so to its hardware."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any


class Kind(IntEnum):
    """What is multiplied: activations by weights, q by k, p by v, ones by values; or the stream, normed."""

    END = 0
    LINEAR = 1
    SCORES = 2
    CONTEXT = 3
    POOL = 4
    NORM = 5


class Target(IntEnum):
    """Where codes are written; ``STREAM`` is to nothing but the stream."""

    ACTIVATIONS = 0
    KEYS = 1
    VALUES = 2
    SCORES = 3
    LOGITS = 4
    STREAM = 5


@dataclass(frozen=True)
class Segment:
    """What becomes of a row's sums: a phase has up to four.

    ``base`` is the word that its codes begin at, ``width`` their bits before the function, ``function`` its
    number or 0, in a phase of norms the norm's, ``stream`` whether codes go to the stream's memory too.
    """

    base: int
    shift: int
    width: int
    target: Target
    function: int = 0
    stream: bool = False


#: Bits of a segment's fields, the lowest first.
SEGMENT = {"base": 16, "shift": 6, "width": 5, "target": 3, "function": 6, "stream": 1}
SEGMENTS = 4


@dataclass(frozen=True)
class Phase:
    """One operation of the network on the engine. Words are those of the engine's memories.

    Attributes:
        op: what is multiplied.
        image: activations are the image's.
        halves: its words are read twice: the high halves of their pixels, then the low ones.
        a_base: word that activations begin at; ``a_stride`` words on for each tile of tokens.
        words: of the depth.
        tiles: tiles of tokens.
        tiles8: tiles of 8-bit rows, and ``tiles4`` of 4-bit rows behind them.
        rows8: rows of the last tile of 8-bit rows, ``rows4`` of the last one of 4-bit rows.
        keys: tiles of tokens that are keys, the last one with ``keys_last`` tokens.
        b_base: word that keys or values, or a norm's gamma and beta, begin at; ``b_stride`` words on for each
            tile of keys.
        lanes: of the last word that count (scores).
        token_from: keys from this one up to ``token_to`` count.
        need: tiles of tokens, of the whole image, whose softmax must be there.
        offset_stride: words on for each tile of tokens where codes are written, ``v_stride`` where that is
            the memory of values, ``stream_stride`` in the stream's.
        high: word that a head's channels begin at, ``low`` the lane in it.
        residual: the stream is added; ``table``: what the network begins with, instead.
        lift: by how many bits it is shifted.
        first: tokens before this one have no sums.
        multiplier: of all rows, where they have none of their own.
        exponential: its number.
        slot: which of two heads' probabilities.
    """

    op: Kind
    image: bool = False
    halves: bool = False
    a_base: int = 0
    a_stride: int = 0
    words: int = 1
    tiles: int = 1
    tiles8: int = 0
    tiles4: int = 0
    rows8: int = 0
    rows4: int = 0
    keys: int = 1
    keys_last: int = 0
    b_base: int = 0
    b_stride: int = 0
    lanes: int = 0
    token_from: int = 0
    token_to: int = 0
    need: int = 0
    offset_stride: int = 0
    v_stride: int = 0
    stream_stride: int = 0
    high: int = 0
    low: int = 0
    residual: bool = False
    table: bool = False
    lift: int = 0
    first: int = 0
    multiplier: int = 0
    exponential: int = 0
    slot: int = 0
    segments: tuple[Segment, ...] = ()
    name: str = ""


#: Bits of a descriptor's fields, the lowest first, and which parts of the engine read each.
FIELDS: dict[str, tuple[int, str]] = {
    "op": (3, "sequencer epilogue"),
    "image": (1, "sequencer"),
    "halves": (1, "sequencer"),
    "a_base": (16, "sequencer"),
    "a_stride": (12, "sequencer"),
    "words": (12, "sequencer"),
    "tiles": (8, "sequencer norm"),
    "tiles8": (10, "sequencer"),
    "tiles4": (10, "sequencer"),
    "rows8": (8, "sequencer"),
    "rows4": (8, "sequencer"),
    "keys": (8, "sequencer"),
    "keys_last": (8, "sequencer"),
    "b_base": (16, "sequencer norm"),
    "b_stride": (12, "sequencer"),
    "lanes": (8, "sequencer"),
    "token_from": (16, "sequencer"),
    "token_to": (16, "sequencer softmax"),
    "need": (16, "sequencer"),
    "offset_stride": (12, "sequencer norm"),
    "v_stride": (12, "sequencer norm"),
    "stream_stride": (12, "sequencer"),
    "high": (12, "sequencer"),
    "low": (5, "sequencer"),
    "residual": (1, "epilogue"),
    "table": (1, "epilogue"),
    "lift": (6, "epilogue"),
    "first": (16, "epilogue"),
    "multiplier": (17, "epilogue"),
    "exponential": (3, "softmax"),
    "slot": (1, "softmax"),
    "segments": (SEGMENTS * sum(SEGMENT.values()), "epilogue norm"),
}
DESCRIPTOR_BITS = sum(bits for bits, _ in FIELDS.values())
assert {f.name for f in fields(Phase)} == {*FIELDS, "name"}


def places(widths: dict[str, int]) -> list[dict[str, Any]]:
    """Of fields of so many bits, the lowest first: ``name``, ``bits``, and the bit ``at`` which it begins."""
    found, at = [], 0
    for name, bits in widths.items():
        found.append({"name": name, "bits": bits, "at": at})
        at += bits
    return found


def _packed(values: dict[str, int], widths: dict[str, int], what: str) -> int:
    total = at = 0
    for name, bits in widths.items():
        value = int(values[name])
        if not 0 <= value < 1 << bits:
            raise OverflowError(f"{what}: {name} is {value}; {bits} bits hold up to {(1 << bits) - 1}")
        total |= value << at
        at += bits
    return total


def descriptor(phase: Phase) -> int:
    """Its bits.

    Raises:
        OverflowError: a field does not hold its value; names both.
    """
    values = {name: getattr(phase, name) for name in FIELDS if name != "segments"}
    width = sum(SEGMENT.values())
    values["segments"] = sum(
        _packed({name: getattr(s, name) for name in SEGMENT}, SEGMENT, phase.name) << (i * width)
        for i, s in enumerate(phase.segments)
    )
    return _packed(values, {name: bits for name, (bits, _) in FIELDS.items()}, phase.name)
