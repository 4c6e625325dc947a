"""Designs that several tests share."""

from __future__ import annotations

from hwnorm.fixed import FixedFormat
from hwnorm.layernorm import LayerNormDesign


def design(channels: int = 192, lanes: int = 16, *, affine: bool = True, **changes) -> LayerNormDesign:
    """16 bits in, s16f10, and out, s16f10; gamma and beta s16f12."""
    formats = {"input": FixedFormat(16, 10), "output": FixedFormat(16, 10)}
    if affine:
        formats |= {"gamma": FixedFormat(16, 12), "beta": FixedFormat(16, 12)}
    return LayerNormDesign(channels, lanes, **(formats | changes))
