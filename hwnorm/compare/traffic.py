"""The bytes that a norm holds and moves: a reduction needs the whole token, a scalar function does not."""

from __future__ import annotations

from dataclasses import dataclass

from hwnorm.fixed import FixedFormat, byte_bits
from hwnorm.kernel.stream import StreamKernel


@dataclass(frozen=True)
class Traffic:
    """Bytes of a token of D elements: ``held`` before its first result leaves, and ``moved`` by it.

        LayerNorm         held        D * in bits / 8                 until the last element is there
        scalar function   held        latency * lanes * in bits / 8   what its pipeline holds; at most a token
        folded function   all three   0                               there is no stage

        LayerNorm         moved       D * (in + out)                  in and out in whole bytes
                          unbuffered  D * (2 * in + out)              read for the statistics, and again
        scalar function   both        D * (in + out)

    What is moved crosses the chip's boundary if the norm stands alone there; ``unbuffered`` is that where no
    memory holds the token. The LayerNorm of ``rtl/layernorm.v`` holds two tokens, so that it never pauses:
    ``held`` is the least that any can do with.
    """

    held: float
    moved: int
    unbuffered: int


NOTHING = Traffic(0.0, 0, 0)


def layernorm_traffic(channels: int, formats: tuple[FixedFormat, FixedFormat]) -> Traffic:
    """Of a LayerNorm over ``channels`` elements; ``formats`` are its input's and its output's."""
    into, back = (byte_bits(fmt) // 8 for fmt in formats)
    held = channels * formats[0].width / 8
    return Traffic(held, channels * (into + back), channels * (2 * into + back))


def stream_traffic(kernel: StreamKernel, channels: int) -> Traffic:
    """Of any kernel on tokens of ``channels`` elements: it holds its latency's beats, at most a token."""
    into, back = (byte_bits(fmt) // 8 for fmt in (kernel.input, kernel.output))
    held = min(channels, kernel.latency * kernel.lanes) * kernel.input.width / 8
    return Traffic(held, channels * (into + back), channels * (kernel.passes * into + back))


def kernel_traffic(
    channels: int, formats: tuple[FixedFormat, FixedFormat], latency: int, lanes: int
) -> Traffic:
    """Of a scalar function whose pipeline has ``latency`` stages of ``lanes`` elements."""
    into, back = (byte_bits(fmt) // 8 for fmt in formats)
    moved = channels * (into + back)
    held = min(channels, latency * lanes) * formats[0].width / 8
    return Traffic(held, moved, moved)
