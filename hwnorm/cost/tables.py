"""What a table's contents say about its size in logic.

A column of a table is a Boolean function of the address. How much logic it takes depends on how many address
bits it depends on, and on how many different functions of the lowest few address bits occur in it: those
are built once and chosen between by the bits above (Shannon's expansion).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwnorm.cost.structure import Table


@dataclass(frozen=True, slots=True)
class TableParts:
    """``inputs``: of each different column that is more than a wire, the address bits it depends on.

    ``levels[n]``: different functions of the lowest n + 2 address bits, complements counting as one and
    constants and wires as none.
    """

    inputs: tuple[int, ...]
    levels: tuple[int, ...]


@lru_cache(maxsize=65536)
def table_parts(table: Table) -> TableParts:
    """The parts of a table."""
    if not table.columns:
        return TableParts((), ())
    columns = np.stack([np.frombuffer(column, dtype=np.uint8) for column in table.columns])
    levels = tuple(len(_functions(columns, bits)) for bits in range(2, table.address_bits + 1))
    return TableParts(tuple(sorted(_functions(columns, table.address_bits))), levels)


def _functions(columns: np.ndarray, bits: int) -> list[int]:
    """For each different function of the lowest ``bits`` address bits, how many of them it depends on."""
    pieces = columns.reshape(-1, 1 << bits)
    pieces = np.packbits(pieces ^ pieces[:, :1], axis=1)  # a function and its complement are one
    pieces = np.unpackbits(np.unique(pieces, axis=0), axis=1)[:, : 1 << bits]
    inputs = np.zeros(len(pieces), dtype=np.int64)
    for bit in range(bits):
        halves = pieces.reshape(len(pieces), -1, 2, 1 << bit)
        inputs += (halves[:, :, 0] != halves[:, :, 1]).any(axis=(1, 2))
    return [int(count) for count in inputs if count > 1]
