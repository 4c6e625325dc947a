"""Several products of small codes by one wide multiplier."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnorm.errors import InputError

Codes = npt.NDArray[np.int64]

#: All codes are tried some at a time, so many products together.
_TOGETHER = 1 << 20


@dataclass(frozen=True)
class Multiplier:
    """A signed multiplier of a device: bits of its ports, the wider one first."""

    wide: int
    narrow: int


#: By the name of a target. DSP48E2: 27 x 18 (AMD UG579); MULT18X18D of ECP5 (Lattice FPGA-TN-02205).
MULTIPLIERS = {"xcup": Multiplier(27, 18), "ecp5": Multiplier(18, 18)}


@dataclass(frozen=True)
class Factors:
    """Codes at one port: how many, their bits, and the lowest and the highest of them."""

    count: int
    bits: int
    least: int
    most: int

    @classmethod
    def weights(cls, count: int, bits: int) -> Factors:
        """Symmetric narrow codes, as rows of weights have them: -7 to 7, -127 to 127."""
        most = (1 << (bits - 1)) - 1
        return cls(count, bits, -most, most)

    @classmethod
    def activations(cls, count: int, bits: int) -> Factors:
        """Two's complement."""
        return cls(count, bits, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def codes(self) -> Codes:
        """Every combination: (count, combinations)."""
        one = np.arange(self.least, self.most + 1)
        return np.stack([part.ravel() for part in np.meshgrid(*[one] * self.count, indexing="ij")])

    def sum(self, shifts: tuple[int, ...]) -> tuple[int, int]:
        """The least and the greatest sum of codes at their shifts."""
        places = sum(1 << shift for shift in shifts)
        return self.least * places, self.most * places


@dataclass(frozen=True)
class Packing:
    """Products of all codes at the wide port with all at the narrow port, in one multiplication.

    Code i of the inner port, which is the wide one or the narrow one, is shifted by ``i * gap``; code j of
    the other by ``j * gap`` times the inner count. So product k, the inner codes first, begins at bit
    ``k * gap``. It is what stands in ``gap`` bits there, and one more where the bit below them is set: the
    products below it are negative then, and have borrowed.
    ``rtl/engine/engine_multiplier.v`` is this in Verilog.

    Raises:
        InputError: a sum does not fit a port, or a product its bits.
    """

    multiplier: Multiplier
    wide: Factors
    narrow: Factors
    gap: int
    inner_wide: bool = True

    def __post_init__(self) -> None:
        for fault in self.faults():
            ports = " by ".join(f"{f.count} codes of {f.bits} bits" for f in (self.wide, self.narrow))
            raise InputError(f"packing of {ports}: {fault}")

    @property
    def shifts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the codes at the wide and at the narrow port."""
        step = (self.gap, self.gap * self.wide.count)
        if not self.inner_wide:
            step = (self.gap * self.narrow.count, self.gap)
        return (
            tuple(i * step[0] for i in range(self.wide.count)),
            tuple(j * step[1] for j in range(self.narrow.count)),
        )

    @property
    def lanes(self) -> int:
        """Products of one multiplication."""
        return self.wide.count * self.narrow.count

    def faults(self) -> Iterator[str]:
        """Why products would not come out right: from the ranges of codes, without trying them."""
        ports = zip(
            ("wide", "narrow"),
            (self.wide, self.narrow),
            self.shifts,
            (self.multiplier.wide, self.multiplier.narrow),
            strict=True,
        )
        for name, factors, shifts, bits in ports:
            low, high = factors.sum(shifts)
            if not -(1 << (bits - 1)) <= low <= high < 1 << (bits - 1):
                yield f"the {name} port has {bits} bits, and sums from {low} to {high}"
        corners = [
            a * b for a in (self.wide.least, self.wide.most) for b in (self.narrow.least, self.narrow.most)
        ]
        low, high = min(corners), max(corners)
        half = 1 << (self.gap - 1)
        if not -half <= low <= high < half:
            yield f"products from {low} to {high} in {self.gap} bits"
        for lane in range(1, self.lanes):
            below = sum(1 << (k * self.gap) for k in range(lane))
            end = 1 << (lane * self.gap - 1)
            if not -end <= low * below <= high * below < end:
                yield f"the products below product {lane} may reach into it"

    def multiply(self, wide: Codes, narrow: Codes) -> Codes:
        """What the hardware makes of codes (count, n) at each port: products (lanes, n)."""
        a, b = (
            sum(codes << shift for codes, shift in zip(port, shifts, strict=True))
            for port, shifts in zip((wide, narrow), self.shifts, strict=True)
        )
        total = np.asarray(a * b)
        found = []
        for lane in range(self.lanes):
            place = lane * self.gap
            borrowed = (total >> (place - 1)) & 1 if lane else 0
            bits = ((total >> place) + borrowed) & ((1 << self.gap) - 1)
            found.append(bits - ((bits >> (self.gap - 1)) << self.gap))
        return np.stack(found)

    def products(self, wide: Codes, narrow: Codes) -> Codes:
        """What they should be."""
        inner, outer = (wide, narrow) if self.inner_wide else (narrow, wide)
        return np.stack([a * b for b in outer for a in inner])

    def wrong(self) -> int:
        """How many combinations of codes give another product than they should, of all there are."""
        narrow, count = self.narrow.codes(), 0
        wide = self.wide.codes()
        step = max(1, _TOGETHER // wide.shape[1])
        for start in range(0, narrow.shape[1], step):
            part = narrow[:, start : start + step]
            a, b = np.repeat(wide, part.shape[1], axis=1), np.tile(part, wide.shape[1])
            count += int((self.multiply(a, b) != self.products(a, b)).any(0).sum())
        return count


def packings(multiplier: Multiplier, weight_bits: int, activation_bits: int) -> list[Packing]:
    """Every packing of the most products of weights by activations, with the narrowest gap of each.

    Empty if not even one product fits.
    """
    found: list[Packing] = []
    gap = weight_bits + activation_bits - 1  # of narrow weights a product has one bit less than both
    counts = [range(1, (port - 1) // gap + 2) for port in (multiplier.wide, multiplier.narrow)]
    for weights_wide, wide, narrow in itertools.product((True, False), *counts):
        if weights_wide:
            factors = Factors.weights(wide, weight_bits), Factors.activations(narrow, activation_bits)
        else:
            factors = Factors.activations(wide, activation_bits), Factors.weights(narrow, weight_bits)
        for inner_wide in (True, False) if min(wide, narrow) > 1 else (True,):
            for tried in (gap, gap + 1):  # a bit more where all products below one may be the largest
                try:
                    found.append(Packing(multiplier, *factors, tried, inner_wide))
                except InputError:
                    continue
                break
    most = max((packing.lanes for packing in found), default=0)
    return [packing for packing in found if packing.lanes == most]
