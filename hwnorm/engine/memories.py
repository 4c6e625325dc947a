"""What the engine's hardware reads of a program: the stream of weights, descriptors, positions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hwnorm.engine.engine import STREAM_BITS, Engine
from hwnorm.engine.phase import DESCRIPTOR_BITS, descriptor
from hwnorm.engine.program import Program, Tile
from hwnorm.integers.operations import IntegerNorm

Bytes = npt.NDArray[np.uint8]


def weight_stream(program: Program) -> Bytes:
    """Beats of an image's weights, in the order in which they are consumed: (beats, bytes a beat).

    A tile is a beat that says what it is, its words, and its rows' parameters:
    ``rtl/engine/engine_weights.v``.
    """
    last = len(program.tiles) - 1
    parts = [_tile(program.engine, tile, i, i == last) for i, tile in enumerate(program.tiles)]
    return np.concatenate(parts)


def _beats(data: Bytes, beat: int) -> Bytes:
    """Each row of bytes padded to whole beats: (rows, beats, bytes a beat)."""
    size = beat // 8
    padded = np.zeros((len(data), -(-data.shape[1] // size) * size), dtype=np.uint8)
    padded[:, : data.shape[1]] = data
    return padded.reshape(len(data), -1, size)


def _tile(engine: Engine, tile: Tile, number: int, last: bool) -> Bytes:
    size = engine.beat // 8
    head = number | tile.words << 32 | int(tile.bits == 8) << 44 | int(last) << 45 | len(tile.rows) << 48
    rows = engine.rows8 if tile.bits == 8 else engine.rows4
    codes = np.zeros((rows, tile.words * engine.depth), dtype=np.int8)
    for i, row in enumerate(tile.rows):
        weight = row.op.weight[row.index]
        codes[i, : len(weight)] = weight
    # (word, row, lane): a row's codes of a word stand side by side.
    words = codes.reshape(rows, tile.words, engine.depth).transpose(1, 0, 2).reshape(tile.words, -1)
    if tile.bits == 8:
        data: Bytes = words.view(np.uint8)
    else:
        nibbles: Bytes = words.view(np.uint8) & np.uint8(15)
        if nibbles.shape[1] % 2:
            nibbles = np.pad(nibbles, ((0, 0), (0, 1)))
        data = nibbles[:, 0::2] | nibbles[:, 1::2] << np.uint8(4)
    parameters = b"".join(row.parameters().to_bytes(8, "little") for row in tile.rows)
    return np.concatenate(
        [
            np.frombuffer(head.to_bytes(size, "little"), dtype=np.uint8)[None],
            _beats(data, engine.beat).reshape(-1, size),
            _beats(np.frombuffer(parameters, dtype=np.uint8)[None], engine.beat)[0],
        ]
    )


def descriptors(program: Program) -> list[int]:
    """Words of :data:`hwnorm.engine.phase.DESCRIPTOR_BITS` bits."""
    return [descriptor(phase) for phase in program.phases]


def descriptor_lines(program: Program) -> str:
    """One line a descriptor for ``$readmemh``."""
    return _lines(descriptors(program), DESCRIPTOR_BITS)


def norm_lines(program: Program) -> str:
    """Gamma and beta of the norms, one line a channel; those of other programs are not there."""
    unit = program.norm_unit
    assert unit is not None
    own = [op for op in program.network.operations if isinstance(op, IntegerNorm)]
    words = [word for op in own for word in unit.words(op)]
    # As many as the hardware has: it may be made for programs with more norms.
    words += [0] * (program.sizes.norms - len(words))
    return _lines(words, unit.gamma_bits + unit.beta_bits)


def positions(program: Program) -> list[int]:
    """What the stream begins with, a word of all tokens of a tile: the first token's code lowest."""
    engine, table = program.engine, program.table
    tiles = -(-len(table) // engine.tokens)
    padded = np.zeros((tiles * engine.tokens, table.shape[1]), dtype=f"<i{STREAM_BITS // 8}")
    padded[: len(table)] = table
    words = padded.reshape(tiles, engine.tokens, -1).transpose(0, 2, 1).reshape(-1, engine.tokens)
    return [int.from_bytes(word.tobytes(), "little") for word in words]


def table_lines(program: Program) -> str:
    """The positions, one line a word."""
    return _lines(positions(program), program.engine.tokens * STREAM_BITS)


def _lines(words: Iterable[int], bits: int) -> str:
    """Hexadecimal, all of as many digits."""
    digits = -(-bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words)
