"""What ``rtl/engine/engine_memory.v`` becomes: blocks of memory or LUTs, by rule.

The rule is the module's own (its ``DEEP`` and ``LARGE``). How many blocks, or LUTs as memory, follows from
the widths and depths that they can have: Yosys' ``memory_libmap`` takes the cheapest. Sources: AMD UG573
(RAMB36E2, RAMB18E2), AMD UG574 (LUTs as memory), Lattice FPGA-TN-02204 (DP16KD, PDPW16KD, DPR16X4), and the
files of Yosys that describe them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: As in ``rtl/engine/engine_memory.v``.
DEEP, LARGE = 128, 4096
#: Yosys' weight of an input of the multiplexers behind parts that lie above one another.
_MUX = 0.5


@dataclass(frozen=True)
class Memory:
    """What holds a memory: LUTs as memory, or blocks of 18 kbit; how many parts lie above one another."""

    lut: int
    bram: int
    parts: int


@dataclass(frozen=True)
class _Shape:
    """A way to use a block: so many words of so many bits, whose bytes have write enables of their own.

    ``cost`` is Yosys'; ``scaled`` where bits of a block that are not used cost nothing; ``units`` what the
    block counts: smallest blocks, or LUTs.
    """

    words: int
    bits: int
    byte: int
    cost: float
    units: int
    scaled: bool = False

    def parts(self, words: int) -> int:
        """So many lie above one another."""
        return -(-words // self.words)

    def count(self, words: int, bits: int) -> int:
        """Blocks: parts lie side by side, each from a byte on."""
        return -(-self.parts(words) * -(-bits // self.byte) * self.byte // self.bits)

    def whole(self, words: int, bits: int) -> float:
        """Yosys' cost of a memory."""
        parts = self.parts(words)
        blocks = parts * bits / self.bits if self.scaled else self.count(words, bits)
        return self.cost * blocks + _MUX * (parts - 1) * bits


def _blocks(bits: Sequence[int], words: int, cost: float, units: int) -> list[_Shape]:
    """All ratios of a block that has so many words at its widest, by the bits of a word."""
    plain = [bit // 9 * 8 if bit >= 9 else bit for bit in bits]
    return [
        _Shape(words * max(plain) // each, bit, min(bit, 9), cost, units)
        for bit, each in zip(bits, plain, strict=True)
    ]


_BLOCKS = {
    "xilinx": [
        *_blocks((1, 2, 4, 9, 18, 36), 512, 129, 1),
        *_blocks((1, 2, 4, 9, 18, 36, 72), 512, 257, 2),
    ],
    "ecp5": _blocks((1, 2, 4, 9, 18, 36), 512, 128, 1),
}
_LUTS = {
    "xilinx": [_Shape(32, 14, 14, 16, 8, True), _Shape(64, 7, 7, 16, 8, True)],
    "ecp5": [_Shape(16, 4, 4, 4, 4)],
}


def known(technology: str) -> bool:
    """Whether the memories of a target's technology are known."""
    return technology in _BLOCKS


def in_blocks(words: int, bits: int) -> bool:
    """Whether blocks hold a memory."""
    return words > DEEP and words * bits >= LARGE


def memory(words: int, bits: int, technology: str) -> Memory:
    """What holds the words of an ``engine_memory``; not what chooses between parts, and reads.

    Args:
        words: how many.
        bits: of a word.
        technology: of the target's flow.
    """
    blocks = in_blocks(words, bits)
    shape = min((_BLOCKS if blocks else _LUTS)[technology], key=lambda s: s.whole(words, bits))
    units = shape.count(words, bits) * shape.units
    return Memory(0 if blocks else units, units if blocks else 0, shape.parts(words))
