"""Beats for a kernel: codes as TDATA words, and the plan of the AXI4-Stream test."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnorm.datapath.ir import Datapath
from hwnorm.fixed import FixedFormat, byte_bits

#: Beats of the protocol test, and the widest TUSER in it.
PROTOCOL_BEATS = 120
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
    codes[:5] = fmt.min_code, -1, 0, 1, fmt.max_code
    return codes


def tdata(codes: np.ndarray, fmt: FixedFormat) -> list[int]:
    """Codes of shape (beats, lanes) as TDATA words: elements of whole bytes, lane 0 lowest."""
    bits = byte_bits(fmt)
    mask = (1 << bits) - 1
    if codes.shape[1] == 1:
        return [int(word) for word in (codes[:, 0] & mask).tolist()]
    return [sum((code & mask) << (bits * lane) for lane, code in enumerate(row)) for row in codes.tolist()]


def protocol_plan(
    datapath: Datapath, top: str, lanes: int, latency: int, *, prefix: str, seed: int
) -> dict[str, Any]:
    """What ``sim/test_axis.py`` sends a kernel and expects back, in frames of random length.

    Args:
        datapath: says what must come back.
        top: the kernel's name; with ``seed`` it fixes the beats.
        lanes: elements a beat.
        latency: cycles from a beat to its result.
        prefix: of the names of the AXI4-Stream ports.
        seed: of the beats.
    """
    rng = np.random.default_rng([seed, *top.encode()])
    fmt = datapath.input
    codes = rng.integers(fmt.min_code, fmt.max_code + 1, size=(PROTOCOL_BEATS, lanes))
    last = rng.random(PROTOCOL_BEATS) < 0.2
    last[-1] = True
    users = rng.integers(1 << USER_WIDTH, size=PROTOCOL_BEATS)
    back = tdata(datapath.evaluate(codes), datapath.output)
    beats = zip(tdata(codes, fmt), back, users.tolist(), last.tolist(), strict=True)
    return {"top": top, "prefix": prefix, "latency": latency, "beats": [list(beat) for beat in beats]}
