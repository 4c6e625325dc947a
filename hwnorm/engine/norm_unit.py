"""The LayerNorm unit of an engine: its widths, its memory, its cycles, its multipliers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hwnorm.engine.engine import STREAM_BITS, Engine
from hwnorm.integers.network import IntegerNetwork
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
    def z_width(self) -> int:
        """Bits of A R, as it is multiplied by gamma."""
        return self._a_high + self.a_frac

    @property
    def drop(self) -> int:
        """Bits that the last rounding drops. A norm that would drop fewer has gamma and beta shifted."""
        return max(_drop(design) for design in self.designs)

    @property
    def gamma_bits(self) -> int:
        return max(_affine(design)[0] + self.drop - _drop(design) for design in self.designs)

    @property
    def beta_bits(self) -> int:
        return max(_affine(design)[1] for design in self.designs)

    @property
    def offset_bits(self) -> int:
        """Of beta at the scale of z gamma, and half of what is dropped."""
        return 1 + max(self.drop, *(_affine(design)[1] + self.up(design) for design in self.designs))

    @property
    def exact_bits(self) -> int:
        """Of z gamma and what is added to it, before the last rounding."""
        product = max(self.z_width, STREAM_BITS) + max(self.gamma_bits, STREAM_BITS)
        return 1 + max(product, self.offset_bits)

    def faults(self) -> Iterator[str]:
        """What the hardware has no bits for, one line each."""
        output = self.designs[0].output
        limits = (
            ("channels of norms", self.channels, 4095),
            ("bits between the finest norm and the coarsest", max(map(self.less, self.designs)), 31),
            ("bits that a beta is shifted by", max(map(self.up, self.designs)), 63),
            ("bits that norms drop", self.drop, self.exact_bits - output.width - 1),
        )
        for what, found, most in limits:
            if found > most:
                yield f"{found} {what}; at most {most} can be"

    @property
    def _a_high(self) -> int:
        return (self.designs[0].channel_bits + 1) // 2

    def words(self, op: IntegerNorm) -> list[int]:
        """A norm's part of the memory of gamma and beta, a word a channel: gamma lowest."""
        left = self.drop - _drop(op.design)
        gammas, betas = (1 << self.gamma_bits) - 1, (1 << self.beta_bits) - 1
        return [
            (gamma << left & gammas) | (beta & betas) << self.gamma_bits
            for gamma, beta in zip(op.gamma.tolist(), op.beta.tolist(), strict=True)
        ]

    def less(self, design: LayerNormDesign) -> int:
        """Bits that a norm's A has fewer behind its point."""
        return self.a_frac - design.a_frac

    def up(self, design: LayerNormDesign) -> int:
        """By how many bits a norm's beta is shifted before it is added to z gamma."""
        assert design.beta is not None
        return design.y_frac - design.beta.frac + self.drop - _drop(design)

    @property
    def statistics_bits(self) -> int:
        """Of what is kept of a token while the stream is written: sums of its codes and of their squares."""
        design = self.designs[0]
        return 2 * design.sum_width + design.input.width

    def cycles(self, engine: Engine, tiles: int) -> int:
        """Of a phase of norms over so many tiles of tokens.

        The roots of a tile's tokens come one after the other while the tile before is normalized, a channel
        of all tokens a cycle.
        """
        roots = engine.tokens + self.designs[0].k_width
        return roots + 30 + self.channels + (tiles - 1) * max(self.channels, roots + 16)

    def multipliers(self, engine: Engine) -> int:
        """Multipliers of the device: a lane's one, which squares, and multiplies by gamma; one square of a
        token's sum, and the three products of one reciprocal root.
        """
        ports = engine.sharing.four.multiplier
        lane = _parts(max(self.z_width, STREAM_BITS), ports.wide)
        lane *= _parts(max(self.gamma_bits, STREAM_BITS), ports.narrow)
        square = self.designs[0].sum_width
        return engine.tokens * lane + _parts(square, ports.wide) * _parts(square, ports.narrow) + 3


def _parts(bits: int, port: int) -> int:
    """Ports that a signed factor takes: what is split off has no sign of its own."""
    return 1 if bits <= port else -(-(bits - 1) // (port - 1))


def _drop(design: LayerNormDesign) -> int:
    return design.y_frac - design.output.frac


def _affine(design: LayerNormDesign) -> tuple[int, int]:
    """Bits of gamma and of beta."""
    assert design.gamma is not None
    assert design.beta is not None
    return design.gamma.width, design.beta.width


def unit_of(designs: Sequence[LayerNormDesign]) -> NormUnit | None:
    """The unit that computes these norms; none for none."""
    return NormUnit(tuple(designs)) if designs else None


def norms_of(network: IntegerNetwork) -> list[LayerNormDesign]:
    """Those that a network has, each as often as it has it."""
    return [op.design for op in network.operations if isinstance(op, IntegerNorm)]
