"""Beats for a kernel: codes as TDATA words, and the plan of the AXI4-Stream test."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.fixed import FixedFormat, byte_bits
from hwnorm.kernel.stream import StreamKernel

#: The protocol test sends at least so many beats and tokens, and TUSER of so many bits.
PROTOCOL_BEATS = 120
PROTOCOL_TOKENS = 4
USER_WIDTH = 5

#: Up to this input width every code is sent; beyond it, as many codes as this has, drawn at random.
EXHAUSTIVE_WIDTH = 16


def codes_to_send(fmt: FixedFormat, seed: int, width: int = EXHAUSTIVE_WIDTH) -> np.ndarray:
    """Every code of a format in ascending order; of one wider than ``width``, its ends, zero and random ones.

    Returns:
        2**width codes at most, int64.
    """
    if fmt.width <= width:
        return fmt.codes()
    rng = np.random.default_rng(seed)
    codes = rng.integers(fmt.min_code, fmt.max_code + 1, size=1 << width)
    codes[:5] = fmt.min_code, max(-1, fmt.min_code), 0, 1, fmt.max_code
    return codes


def tdata(codes: np.ndarray, fmt: FixedFormat) -> list[int]:
    """Codes of shape (beats, lanes) as TDATA words: elements of whole bytes, lane 0 lowest."""
    bits = byte_bits(fmt)
    mask = (1 << bits) - 1
    if codes.shape[1] == 1:
        return [int(word) for word in (codes[:, 0] & mask).tolist()]
    return [sum((code & mask) << (bits * lane) for lane, code in enumerate(row)) for row in codes.tolist()]


def protocol_plan(kernel: StreamKernel, *, prefix: str, seed: int) -> dict[str, Any]:
    """What ``sim/test_axis.py`` sends a kernel and expects back, in frames of random length.

    TLAST and TUSER are random: they mean nothing to a kernel but travel with their beat. So is the number
    of the elements that the last beat of a frame keeps, none among them, where the kernel ``keeps``.

    Args:
        kernel: says what must come back; with ``seed`` its name fixes the beats.
        prefix: of the names of the AXI4-Stream ports.
        seed: of the beats.
    """
    rng = np.random.default_rng([seed, *kernel.top.encode()])
    tokens = kernel.sample(max(-(-PROTOCOL_BEATS // kernel.beats), PROTOCOL_TOKENS), rng)
    sent = tdata(tokens.reshape(-1, kernel.lanes), kernel.input)
    back = tdata(kernel.evaluate(tokens).reshape(-1, kernel.lanes), kernel.output)
    last = rng.random(len(sent)) < 0.2
    last[-1] = True
    users = rng.integers(1 << USER_WIDTH, size=len(sent))
    kept = np.where(last & kernel.keeps, rng.integers(kernel.lanes + 1, size=len(sent)), kernel.lanes)
    beats = zip(sent, back, users.tolist(), last.tolist(), kept.tolist(), strict=True)
    return {
        "top": kernel.top,
        "prefix": prefix,
        "latency": kernel.latency,
        "lanes": kernel.lanes,
        "beats": [list(beat) for beat in beats],
    }
