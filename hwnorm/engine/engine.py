"""The parameters of an engine: what its hardware is, whatever network runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from hwnorm.engine.packing import MULTIPLIERS, Factors, Packing
from hwnorm.errors import InputError

#: Bits of a residual stream's codes, and of scores.
STREAM_BITS, SCORE_BITS = 16, 12
#: Bits of a pixel: two halves of it are multiplied one after the other where activations have fewer.
PIXEL_BITS = 8
#: Bits of a bias, a multiplier without its sign, and a reciprocal, as a row's parameters hold them.
BIAS_BITS, MULTIPLIER_BITS = 29, 17


@dataclass(frozen=True)
class Sharing:
    """How the products of weights of 4 and of 8 bits share one multiplier, whose activations stay in place.

    ``pair`` activations stand ``a_gap`` bits apart at one port. ``four`` and ``eight`` are the packings with
    weights of 4 and of 8 bits at the other, the weights' index first.
    """

    pair: int
    a_gap: int
    four: Packing
    eight: Packing

    @property
    def rows(self) -> tuple[int, int]:
        """Weights a multiplier takes at a time: of 4 bits, of 8 bits."""
        return tuple(p.lanes // self.pair for p in (self.four, self.eight))  # type: ignore[return-value]

    @property
    def port(self) -> int:
        """Bits of the port that takes the weights."""
        return self.four.multiplier.wide if self.pair == 1 else self.four.multiplier.narrow

    @property
    def parameters(self) -> dict[str, int]:
        """Of ``rtl/engine/engine_multiplier.v``, the bits of activations left aside."""
        return {
            "PAIR": self.pair,
            "A_GAP": self.a_gap,
            "WEIGHTS": self.port,
            "N4": self.rows[0],
            "G4": self.four.gap,
            "N8": self.rows[1],
            "G8": self.eight.gap,
        }


#: Activations, and weights of 4 and of 8 bits, that a multiplier takes, with their gaps: by device and bits
#: of activations. With A6 two activations stay 18 bits apart whatever the weights are.
_SHARINGS = {
    ("xcup", 8): (1, 0, (3, 11), (2, 18)),
    ("xcup", 6): (2, 18, (2, 9), (1, 18)),
    ("ecp5", 8): (1, 0, (2, 11), (1, 18)),
    ("ecp5", 6): (1, 0, (2, 9), (1, 18)),
}


def shared_bits(device: str) -> tuple[int, ...]:
    """Bits of activations that share the device's multipliers."""
    return tuple(bits for name, bits in _SHARINGS if name == device)


@cache
def sharing(device: str, activation_bits: int) -> Sharing:
    """How an engine shares a device's multipliers.

    Raises:
        InputError: no way is known for these bits on this device.
    """
    if (device, activation_bits) not in _SHARINGS:
        known = ", ".join(f"A{bits} on {name}" for name, bits in _SHARINGS)
        raise InputError(f"engine: activations of {activation_bits} bits on {device}; there are {known}")
    pair, a_gap, (n4, g4), (n8, g8) = _SHARINGS[device, activation_bits]
    multiplier = MULTIPLIERS[device]
    activations = Factors.activations(pair, activation_bits)
    found = []
    # What attention multiplies has two's complement codes at the place of weights.
    for weights, gap in ((Factors.weights(n4, 4), g4), (Factors.activations(n8, 8), g8)):
        if pair == 1:
            found.append(Packing(multiplier, weights, activations, gap))
        else:
            found.append(Packing(multiplier, activations, weights, a_gap // weights.count, inner_wide=False))
    return Sharing(pair, a_gap, *found)


@dataclass(frozen=True)
class Engine:
    """An array of ``tokens`` x ``columns`` x ``depth`` shared multipliers, and what surrounds it.

    Attributes:
        tokens: rows of the array; as many lanes have epilogue and softmax.
        columns: multipliers beside one another that take weights of different rows.
        depth: products that are summed in a cycle.
        activation_bits: of what is multiplied.
        beat: bits of the stream of weights.
        device: whose multipliers are shared: a name of :data:`hwnorm.engine.packing.MULTIPLIERS`.
        lut_columns: of the columns, so many multiply by LUTs; the others take the device's multipliers.
        rescale: what a lane of the epilogue multiplies with: the device's multipliers, ``dsp``, or ``lut``.
    """

    tokens: int
    columns: int
    depth: int
    activation_bits: int = 8
    beat: int = 128
    device: str = "xcup"
    rescale: Literal["dsp", "lut"] = "lut"
    lut_columns: int = 0

    def __post_init__(self) -> None:
        for fault in self.faults():
            raise InputError(f"engine: {fault}")

    def faults(self) -> list[str]:
        """What is wrong with it, one line each; :func:`sharing` refuses what it does not know."""
        shared = sharing(self.device, self.activation_bits)
        found = []
        for name, most in (("tokens", 255), ("columns", 255), ("depth", 16)):
            if not 1 <= getattr(self, name) <= most:
                found.append(f"{name} {getattr(self, name)}; 1 to {most} are built")
        if self.tokens % shared.pair:
            found.append(f"tokens {self.tokens}; a multiple of {shared.pair} shares multipliers")
        if self.rows8 > 32 or self.rows4 > 255:
            found.append(f"columns {self.columns}: {self.rows8} rows of 8 bits at a time; at most 32 can be")
        if not 0 <= self.lut_columns <= self.columns:
            found.append(f"lut_columns {self.lut_columns}; 0 to {self.columns}, all columns, can be")
        if self.rescale not in ("dsp", "lut"):
            found.append(f"rescale {self.rescale!r}; 'dsp' and 'lut' are built")
        if self.beat % 64 or not 64 <= self.beat <= 1024:
            found.append(f"beat {self.beat}; a multiple of 64 from 64 to 1024 is streamed")
        return found

    def __str__(self) -> str:
        luts = f", {self.lut_columns} of them of LUTs" if self.lut_columns else ""
        return f"{self.tokens} tokens x {self.columns} columns{luts} x {self.depth} deep"

    @cached_property
    def sharing(self) -> Sharing:
        return sharing(self.device, self.activation_bits)

    @cached_property
    def rows4(self) -> int:
        """Rows of 4 bits in a tile."""
        return self.sharing.rows[0] * self.columns

    @cached_property
    def rows8(self) -> int:
        """Rows of 8 bits in a tile, or keys, or channels of values."""
        return self.sharing.rows[1] * self.columns

    @property
    def multipliers(self) -> int:
        """In the array, those of LUTs among them."""
        return self.tokens // self.sharing.pair * self.columns * self.depth

    @property
    def lut_multipliers(self) -> int:
        """Of those, such as are made of LUTs."""
        return self.multipliers // self.columns * self.lut_columns

    @property
    def dsp_share(self) -> float:
        """Of the array's products, those that the device's multipliers make."""
        return 1 - self.lut_columns / self.columns

    def dsps(self, sum_bits: int = 0) -> int:
        """Multipliers of the device: the array's, and what rescales sums of so many bits in each lane.

        There are none of the latter where lanes multiply by LUTs. A lane's other factor has 18 bits; a wider
        sum than the wide port takes a second multiplier.
        """
        shared = self.multipliers - self.lut_multipliers
        if self.rescale == "lut":
            return shared
        wide = self.sharing.four.multiplier.wide
        return shared + self.tokens * max(1, -(-sum_bits // wide))

    @property
    def products(self) -> tuple[int, int]:
        """In a cycle, with weights of 4 bits and of 8 bits."""
        return self.tokens * self.depth * self.rows4, self.tokens * self.depth * self.rows8

    def word_bits(self, bits: int) -> int:
        """Of a word of weights, all of ``bits`` bits."""
        return (self.rows8 if bits == 8 else self.rows4) * self.depth * bits

    def word_beats(self, bits: int) -> int:
        """Beats that bring it."""
        return -(-self.word_bits(bits) // self.beat)

    def row_beats(self, rows: int) -> int:
        """Beats that bring the parameters of so many rows."""
        return -(-rows * 64 // self.beat)

    def tiles(self, eights: int, fours: int) -> tuple[int, int, int, int]:
        """Tiles that so many rows of 8 and of 4 bits take.

        Rows of 4 bits fill up the last tile of those of 8 where that saves a tile of theirs.

        Returns:
            Tiles of 8 bits, rows of their last one, tiles of 4 bits, rows of their last one; 0 of none.
        """
        fewest = -(-max(0, fours - -eights % self.rows8) // self.rows4)
        narrow = min(fours, fewest * self.rows4)
        return *_tiled(eights + fours - narrow, self.rows8), *_tiled(narrow, self.rows4)

    def parts(self, channels: int) -> tuple[int, int]:
        """Tiles that so many channels of values take, and channels of the last one."""
        return _tiled(channels, self.rows8)

    def keys_words(self, tokens: int) -> int:
        """Words of keys' depth: each tile of tokens begins a new one."""
        return -(-tokens // self.tokens) * -(-self.tokens // self.depth)


def _tiled(rows: int, most: int) -> tuple[int, int]:
    """Tiles of at most so many rows, and rows of the last one."""
    tiles = -(-rows // most)
    return tiles, rows - max(0, tiles - 1) * most
