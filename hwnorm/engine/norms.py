"""The LayerNorm unit of an engine: its widths, its memory, its cycles, its multipliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnorm.engine.engine import Engine
from hwnorm.integers.operations import IntegerNorm
from hwnorm.layernorm.design import LayerNormDesign


@dataclass(frozen=True)
class NormUnit:
    """One unit for all norms of an engine's programs (``rtl/engine/engine_norm.v``).

    All have the same channels and the same bits of inputs and outputs; where their points are differs.
    """

    designs: tuple[LayerNormDesign, ...]

    @property
    def channels(self) -> int:
        return self.designs[0].channels

    @property
    def a_frac(self) -> int:
        """Bits behind the point of A, of the norm that has the most."""
        return max(design.a_frac for design in self.designs)

    @property
    def a_width(self) -> int:
        """Bits of A, with its sign."""
        return 1 + self._a_high + self.a_frac

    @property
    def drop(self) -> int:
        """Bits that the last rounding drops. A norm that would drop fewer has gamma and beta shifted."""
        return max(_drop(design) for design in self.designs)

    @property
    def gamma_bits(self) -> int:
        return max(_affine(design)[0] + self.drop - _drop(design) for design in self.designs)

    @property
    def beta_bits(self) -> int:
        """Of beta at the scale of z gamma, and half of what is dropped."""
        return 1 + max(
            _affine(design)[1] + design.y_frac - _beta_frac(design) + self.drop - _drop(design)
            for design in self.designs
        )

    @property
    def _a_high(self) -> int:
        return (self.designs[0].channel_bits + 1) // 2

    def words(self, op: IntegerNorm) -> list[int]:
        """A norm's part of the memory of gamma and beta, a word a channel: gamma lowest."""
        design = op.design
        left = self.drop - _drop(design)
        up = design.y_frac - _beta_frac(design) + left
        half = 1 << (self.drop - 1)
        gammas, betas = (1 << self.gamma_bits) - 1, (1 << self.beta_bits) - 1
        return [
            (gamma << left & gammas) | ((beta << up) + half & betas) << self.gamma_bits
            for gamma, beta in zip(op.gamma.tolist(), op.beta.tolist(), strict=True)
        ]

    def less(self, design: LayerNormDesign) -> int:
        """Bits that a norm's A has fewer behind its point."""
        return self.a_frac - design.a_frac

    def statistics_bits(self) -> int:
        """Of what is kept of a token while the stream is written."""
        design = self.designs[0]
        return design.sum_width + design.input.width + design.sum_width


def cycles(engine: Engine, design: LayerNormDesign, tiles: int) -> int:
    """Cycles of a phase of norms over so many tiles of tokens.

    The roots of a tile's tokens come one after the other while the tile before is normalized, a channel of
    all tokens a cycle (``rtl/engine/engine_norm.v``).
    """
    roots = engine.tokens + design.k_width
    return roots + 30 + design.channels + (tiles - 1) * max(design.channels, roots + 16)


def multipliers(engine: Engine, design: LayerNormDesign) -> int:
    """Multipliers of the device: one a lane, and what one variance and one reciprocal root take."""
    return engine.tokens + 5


def _drop(design: LayerNormDesign) -> int:
    return design.y_frac - design.output.frac


def _affine(design: LayerNormDesign) -> tuple[int, int]:
    """Bits of gamma and of beta."""
    assert design.gamma is not None
    assert design.beta is not None
    return design.gamma.width, design.beta.width


def _beta_frac(design: LayerNormDesign) -> int:
    assert design.beta is not None
    return design.beta.frac


def unit_of(designs: Sequence[LayerNormDesign]) -> NormUnit | None:
    """The unit that computes these norms; none for none."""
    return NormUnit(tuple(designs)) if designs else None
