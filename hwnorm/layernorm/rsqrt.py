"""The reciprocal square root of ``rtl/layernorm_rsqrt.v``, bit for bit, and the table in it.

``python -m hwnorm.layernorm.rsqrt`` writes ``rtl/layernorm_rsqrt_rom.v``.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from hwnorm.emit.render import render
from hwnorm.files import write_text
from hwnorm.resources import resource

#: Bits of m behind its leading one in the table's address, and bits of a value behind its leading one.
ADDRESS_BITS = 8
VALUE_BITS = 12


@cache
def rsqrt_table() -> tuple[int, ...]:
    """The table's 512 values: 1 / sqrt(m) on [1/4, 1/2), then on [1/2, 1), without the leading one."""
    segments = 1 << ADDRESS_BITS
    values = []
    for lowest in (0.25, 0.5):
        for j in range(segments):
            low, high = (math.sqrt(lowest * (1 + end / segments)) for end in (j, j + 1))
            # Relative to 1 / sqrt(m), this errs by as much at one end as at the other.
            best = 2 / (low + high)
            values.append(min(round((best - 1) * (1 << VALUE_BITS)), (1 << VALUE_BITS) - 1))
    return tuple(values)


def rom() -> str:
    """The text of ``rtl/layernorm_rsqrt_rom.v``."""
    return render("layernorm/rsqrt_rom.v.j2", {"table": rsqrt_table()})


def mantissa_bits(width: int) -> int:
    """The bits of m that a result of ``width`` bits depends on."""
    return width + 5


def rsqrt(m: np.ndarray, width: int) -> np.ndarray:
    """1 / sqrt(m) in (1, 2) by the table and one Newton step.

    Args:
        m: codes of values in [1/4, 1), int64, with :func:`mantissa_bits` behind the point.
        width: bits of the result, one of them before the point; 3 to 17.

    Returns:
        codes, int64, of the same shape.
    """
    m = np.asarray(m, dtype=np.int64)
    m_bits, table_bits = mantissa_bits(width), width // 2
    y_frac, u_frac, h_frac = table_bits + 4, width + 5, width + 3
    upper = m >> (m_bits - 1)
    behind = (m >> (m_bits - 2 - table_bits + upper)) & ((1 << table_bits) - 1)
    address = (upper << ADDRESS_BITS) | (behind << (ADDRESS_BITS - table_bits))
    if table_bits < ADDRESS_BITS:
        address |= 1 << (ADDRESS_BITS - 1 - table_bits)
    values = np.array(rsqrt_table(), dtype=np.int64)
    y = (1 << y_frac) | (values[address] >> (VALUE_BITS - y_frac))
    u = (m * y) >> (m_bits + y_frac - u_frac)
    h = ((1 << (u_frac + y_frac)) - u * y) >> (u_frac + y_frac - h_frac)
    drop = y_frac + h_frac + 1 - (width - 1)
    result = ((y << (h_frac + 1)) + y * h + (1 << (drop - 1))) >> drop
    return np.asarray(np.minimum(result, (1 << width) - 1))


if __name__ == "__main__":
    write_text(resource("rtl") / "layernorm_rsqrt_rom.v", rom())
