"""Bits of signals as synthesis sees them: numbers, of which the first two are constant."""

from __future__ import annotations

#: The bits of a signal, the lowest first.
Bits = list[int]

#: Bits that are constant; every other bit of a datapath has a number of its own from 2 on.
ZERO, ONE = 0, 1


def extended(bits: Bits, shift: int, width: int) -> Bits:
    """The lowest ``width`` bits of a signal times 2**shift, its sign bit repeated as needed."""
    placed = [ZERO] * shift + bits if shift >= 0 else bits[min(-shift, len(bits) - 1) :]
    return (placed + [placed[-1]] * (width - len(placed)))[:width]
