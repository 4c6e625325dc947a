"""Tokens and channels of an integer network's tensors."""

from __future__ import annotations

from hwnorm.integers.network import IntegerNetwork
from hwnorm.integers.operations import (
    Exponentials,
    IntegerContext,
    IntegerLinear,
    IntegerPatches,
    IntegerPool,
    IntegerScores,
    Table,
)

#: Channels, height and width of an image.
ImageSize = tuple[int, int, int]


def channels_of(network: IntegerNetwork, image: ImageSize) -> dict[str, int]:
    """Channels of each tensor that has tokens."""
    found: dict[str, int] = {}
    for op in network.operations:
        match op:
            case IntegerPatches():
                found[op.out] = image[0] * op.height * op.width
            case Table():
                found[op.out] = int(op.codes.shape[1])
            case IntegerLinear():
                found[op.out] = len(op.weight)
            case IntegerContext():
                found[op.out] = found[op.v]
            case IntegerScores() | Exponentials():
                pass
            case _:
                found[op.out] = found[op.reads[0]]
    return found


def tokens_of(network: IntegerNetwork, image: ImageSize) -> dict[str, int]:
    """Tokens of each tensor that has some."""
    found: dict[str, int] = {}
    for op in network.operations:
        match op:
            case IntegerPatches():
                found[op.out] = (image[1] // op.height) * (image[2] // op.width)
            case Table():
                found[op.out] = len(op.codes)
            case IntegerPool():
                found[op.out] = 1
            case IntegerLinear(residual=str(residual)):
                found[op.out] = found[residual]
            case IntegerScores():
                found[op.out] = found[op.q]
            case IntegerContext():
                found[op.out] = found[op.v]
            case _:
                found[op.out] = found[op.reads[0]]
    return found
