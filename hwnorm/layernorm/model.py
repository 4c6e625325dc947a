"""``rtl/layernorm.v`` in integers, bit for bit."""

from __future__ import annotations

import numpy as np

from hwnorm.layernorm.design import GUARD, LayerNormDesign
from hwnorm.layernorm.rsqrt import mantissa_bits, rsqrt


def evaluate(
    design: LayerNormDesign, x: np.ndarray, gamma: np.ndarray | None = None, beta: np.ndarray | None = None
) -> np.ndarray:
    """The output codes of tokens.

    Args:
        design: with affine formats exactly if ``gamma`` and ``beta`` are given.
        x: input codes, integers of shape (tokens, channels).
        gamma, beta: codes in the design's formats, integers of shape (channels,).

    Returns:
        codes in the output format, int64, of the shape of ``x``.
    """
    x = np.asarray(x, dtype=np.int64)
    if x.ndim != 2 or x.shape[1] != design.channels:
        raise ValueError(f"codes of shape {x.shape}; (tokens, {design.channels}) was expected")
    sums = x.sum(axis=1)
    k, r = statistics(design, sums, (x * x).sum(axis=1))
    t = design.channels * x - sums[:, None]
    # T 2^k has sum_width bits behind its point, A has a_frac.
    left = k[:, None] + design.a_frac - design.sum_width
    a = np.where(left >= 0, t << np.maximum(left, 0), t >> np.maximum(-left, 0))
    product = a * r[:, None]
    if design.gamma is None or design.beta is None:
        exact = product
    else:
        if gamma is None or beta is None:
            raise ValueError("the design has an affine; gamma and beta were expected")
        drop = design.a_frac + design.r_width - 1 - design.z_frac
        z = (product + (1 << (drop - 1))) >> drop
        gamma, beta = (np.asarray(codes, dtype=np.int64) for codes in (gamma, beta))
        exact = z * gamma + (beta << (design.y_frac - design.beta.frac))
    drop = design.y_frac - design.output.frac
    y = (exact + (1 << (drop - 1))) >> drop
    return np.asarray(np.clip(y, design.output.min_code, design.output.max_code))


def statistics(
    design: LayerNormDesign, sums: np.ndarray, squares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """k and R of tokens, from the sums (tokens,) of their codes and of the codes' squares.

    V may need more than 64 bits, so it is Python's integer.
    """
    keep = mantissa_bits(design.r_width)
    shifts, mantissas = [], []
    for s, q in zip(sums.tolist(), squares.tolist(), strict=True):
        v = ((design.channels * q - s * s) << GUARD) + design.eps_code
        # Pairs of leading zeros; V = 0 only where T is 0 too, and then nothing depends on k and R.
        k = (design.v_width - v.bit_length()) // 2 if v else 0
        shifts.append(k)
        mantissas.append(((v << (2 * k)) << keep) >> design.v_width if v else 1 << (keep - 1))
    return np.array(shifts, dtype=np.int64), rsqrt(np.array(mantissas, dtype=np.int64), design.r_width)
