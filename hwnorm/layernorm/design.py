"""What ``rtl/layernorm.v`` is built for: its parameters, and the widths and latency that follow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.fixed import MAX_WIDTH, FixedFormat
from hwnorm.resources import resource

#: Bits behind the point of the parameter EPS.
EPS_FRAC = 40
#: Bits below the integers of V, for D^2 eps alone.
GUARD = 12
#: The Verilog files, the top first.
SOURCES = (
    "layernorm.v",
    "layernorm_lane.v",
    "layernorm_moments.v",
    "layernorm_rsqrt.v",
    "layernorm_rsqrt_rom.v",
    "layernorm_tree.v",
    "layernorm_variance.v",
    "hwnorm_axis_pipe.v",
)


@dataclass(frozen=True)
class LayerNormDesign:
    """One LayerNorm in hardware: over tokens of ``channels``, ``lanes`` of them a beat.

    ``gamma`` and ``beta`` are the formats of the affine memories; both None leaves the affine out. The
    names of derived widths are those of the Verilog.

    Raises:
        InputError: the Verilog would stop at elaboration, or has a signal too wide for the model.
    """

    channels: int
    lanes: int
    input: FixedFormat
    output: FixedFormat
    gamma: FixedFormat | None = None
    beta: FixedFormat | None = None
    eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.channels < 2 or self.lanes < 1 or self.channels % self.lanes:
            raise InputError(
                f"LayerNorm: {self.channels} channels in {self.lanes} lanes; at least 2 channels are needed, "
                "and a number of lanes that divides them"
            )
        if not 2 <= self.input.width <= 24 or self.input.frac < 0:
            raise InputError(f"LayerNorm: input {self.input}; 2 to 24 bits are possible, frac 0 or more")
        if not 2 <= self.output.width <= 16 or self.output.frac < 0:
            raise InputError(f"LayerNorm: output {self.output}; 2 to 16 bits are possible, frac 0 or more")
        for fmt in (self.input, self.output, self.gamma, self.beta):
            if fmt is not None and not fmt.signed:
                raise InputError(f"LayerNorm: {fmt} is unsigned; its formats are signed")
        if (self.gamma is None) != (self.beta is None):
            raise InputError("LayerNorm: gamma and beta have both a format or neither")
        if self.gamma is not None and (self.gamma.width < 2 or self.gamma.frac < 0):
            raise InputError(f"LayerNorm: gamma {self.gamma}; 2 bits or more are possible, frac 0 or more")
        if self.beta is not None and (self.beta.width < 2 or not 0 <= self.beta.frac <= self.y_frac):
            raise InputError(
                f"LayerNorm: beta {self.beta}; 2 bits or more are possible, frac 0 to {self.y_frac}"
            )
        # A R, and z gamma + beta.
        widest = 1 + (self.channel_bits + 1) // 2 + self.a_frac + self.r_width
        if self.gamma is not None and self.beta is not None:
            z_width = 2 + (self.channel_bits + 1) // 2 + self.z_frac
            widest = max(
                widest, z_width + self.gamma.width + 1, self.beta.width + self.y_frac - self.beta.frac + 1
            )
        if widest > MAX_WIDTH:
            raise InputError(
                f"LayerNorm: {self} has a signal of {widest} bits; at most {MAX_WIDTH} are modelled"
            )
        if self.eps < 0 or self.eps_code >> (self.v_width - 1):
            raise InputError(f"LayerNorm: eps {self.eps}; 0 to the largest variance is possible")

    @property
    def beats(self) -> int:
        """Beats a token, which is the initiation interval in cycles too."""
        return self.channels // self.lanes

    @property
    def channel_bits(self) -> int:
        """clog2(D)."""
        return (self.channels - 1).bit_length()

    @property
    def sum_width(self) -> int:
        return self.input.width + self.channel_bits

    @property
    def v_width(self) -> int:
        return 2 * self.sum_width + GUARD

    @property
    def k_width(self) -> int:
        return (self.v_width // 2 - 1).bit_length()

    @property
    def r_width(self) -> int:
        return min(self.output.width + 3, 17)

    @property
    def z_frac(self) -> int:
        gamma_bits = 0 if self.gamma is None else max(0, self.gamma.width - 1 - self.gamma.frac)
        return self.output.frac + gamma_bits + 3

    @property
    def a_frac(self) -> int:
        return self.z_frac + 2

    @property
    def y_frac(self) -> int:
        """Bits behind the point before the last rounding."""
        if self.gamma is None:
            return self.a_frac + self.r_width - 1
        return self.z_frac + self.gamma.frac

    @property
    def eps_parameter(self) -> int:
        """The Verilog parameter EPS."""
        return round(self.eps * 2.0**EPS_FRAC)

    @property
    def eps_code(self) -> int:
        """D^2 eps in squared input codes with GUARD bits behind the point, rounded half up."""
        squares = self.channels**2 * self.eps_parameter
        drop = EPS_FRAC - 2 * self.input.frac - GUARD
        code: int = (squares + (1 << (drop - 1))) >> drop if drop > 0 else squares << -drop
        return code

    @property
    def latency(self) -> int:
        """Cycles from a token's first beat to its first result, where neither side pauses."""
        lane_bits = (self.lanes - 1).bit_length()
        statistics = 8 + lane_bits + self.k_width + 9 + 1
        return self.beats + statistics + (10 if self.gamma is not None else 8)

    @property
    def sources(self) -> list[Path]:
        """The Verilog files."""
        return [resource("rtl") / name for name in SOURCES]

    def parameters(self) -> dict[str, int]:
        """The Verilog parameters; the names of the affine files stay ``gamma.hex`` and ``beta.hex``."""
        found = {
            "D": self.channels,
            "LANES": self.lanes,
            "IN_WIDTH": self.input.width,
            "IN_FRAC": self.input.frac,
            "OUT_WIDTH": self.output.width,
            "OUT_FRAC": self.output.frac,
            "AFFINE": int(self.gamma is not None),
            "EPS": self.eps_parameter,
        }
        if self.gamma is not None and self.beta is not None:
            found |= {"GAMMA_WIDTH": self.gamma.width, "GAMMA_FRAC": self.gamma.frac}
            found |= {"BETA_WIDTH": self.beta.width, "BETA_FRAC": self.beta.frac}
        return found
