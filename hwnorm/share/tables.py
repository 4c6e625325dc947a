"""Functions as tables: the smallest one that gives each function's own codes, and where each lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnorm.datapath.ir import Datapath
from hwnorm.errors import InputError
from hwnorm.kernel.stimulus import EXHAUSTIVE_WIDTH


@dataclass(frozen=True)
class Direct:
    """``y = entries[saturated(x >> drop) & (2^bits - 1)]``, saturated to ``bits`` bits, signed.

    ``entries`` are output codes: int64, (2^bits,), by the address.
    """

    drop: int
    bits: int
    entries: np.ndarray


def direct(function: Datapath) -> Direct:
    """The smallest table of this kind that equals a function at every code.

    Raises:
        InputError: its input is too wide for every code to be tried.
    """
    if function.input.width > EXHAUSTIVE_WIDTH:
        raise InputError(f"{function.input} input; a table is made of at most {EXHAUSTIVE_WIDTH} bits")
    found, drop = function.evaluate(function.input.codes()), 0
    while len(found) > 2 and (found[0::2] == found[1::2]).all():
        found, drop = found[0::2], drop + 1
    while len(found) > 2:
        quarter = len(found) // 4
        low, inside, high = found[:quarter], found[quarter:-quarter], found[-quarter:]
        if (low != inside[0]).any() or (high != inside[-1]).any():
            break
        found = inside
    bits = (len(found) - 1).bit_length()
    return Direct(drop, bits, np.roll(found, -(len(found) // 2)))


@dataclass(frozen=True)
class Layout:
    """Tables side by side in one memory of 2^``address_bits`` words.

    A table begins at a multiple of its own size, so that base and place in it are put together without a sum.
    ``bases`` are in the order of ``tables``; ``words`` is int64, words of no table are zero.
    """

    tables: tuple[Direct, ...]
    bases: tuple[int, ...]
    words: np.ndarray

    @property
    def address_bits(self) -> int:
        return (len(self.words) - 1).bit_length()


def side_by_side(tables: Sequence[Direct]) -> Layout:
    """The largest table first, equal ones once; the memory's size is the next power of two, at least 4."""
    order = sorted(range(len(tables)), key=lambda n: -tables[n].bits)
    known: dict[bytes, int] = {}
    bases, end = [0] * len(tables), 0
    for number in order:
        key = tables[number].entries.tobytes()
        if key not in known:
            known[key] = end
            end += len(tables[number].entries)
        bases[number] = known[key]
    words = np.zeros(1 << max(2, (end - 1).bit_length()), dtype=np.int64)
    for table, base in zip(tables, bases, strict=True):
        words[base : base + len(table.entries)] = table.entries
    return Layout(tuple(tables), tuple(bases), words)
