"""Tokens that are hard for a LayerNorm."""

from __future__ import annotations

import numpy as np

from hwnorm.layernorm.design import LayerNormDesign


def hard_tokens(design: LayerNormDesign, count: int, seed: int = 0) -> np.ndarray:
    """Codes (count, channels) of tokens that are hard: at least 16, the first eight the same for any seed.

    Those are constant, nearly constant, and at the ends of the format; the rest is normal, of any scale
    and mean that the format holds, and in every second token one to four channels reach 30 times the
    deviation of the others.
    """
    rng = np.random.default_rng(seed)
    fmt, d = design.input, design.channels
    sigma = np.exp(rng.uniform(np.log(2 * fmt.ulp), np.log(max(fmt.high / 3, 2 * fmt.ulp)), (count, 1)))
    mean = rng.normal(size=(count, 1)) * fmt.high / 8
    tails = rng.standard_normal((count, d))
    for token in tails[::2]:
        token[rng.choice(d, size=min(d, int(rng.integers(1, 5))), replace=False)] = 30 * rng.choice([-1, 1])
    # A deviation that keeps the outlier inside the format.
    sigma[::2] = np.minimum(sigma[::2], fmt.high / 40)
    mean[::2] = np.clip(mean[::2], -fmt.high / 8, fmt.high / 8)
    codes = fmt.quantize(mean + sigma * tails)
    codes[0] = 0
    codes[1] = fmt.max_code
    codes[2] = fmt.min_code
    codes[3] = np.where(np.arange(d) % 2, fmt.max_code, fmt.min_code)
    codes[4] = np.arange(d) == d // 2
    codes[5] = np.where(np.arange(d) == 0, fmt.min_code, fmt.max_code)
    codes[6] = np.where(np.arange(d) == d - 1, fmt.max_code, fmt.min_code)
    codes[7] = -3
    return codes
