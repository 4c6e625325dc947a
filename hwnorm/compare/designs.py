"""The designs that are compared, and the figures of one that follow from its formats and its pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from hwnorm.compare.traffic import NOTHING, stream_traffic
from hwnorm.datapath.ir import Datapath
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.kernel.stream import StreamKernel
from hwnorm.lowering.lower import lower
from hwnorm.profile import LayerProfile
from hwnorm.search.fitness import Judge
from hwnorm.search.rivals import rivals
from hwnorm.synth.flow import Counts
from hwnorm.targets.target import Target

#: Families that stand beside the chosen function, and what they are called for people.
FAMILIES = {"dyt": "DyT, c*tanh(b*x)", "derf": "Derf, c*erf(b*x)", "table": "direct table"}
#: Slower clocks are not tried.
SLOWEST_MHZ = 4.0
LAYERNORM, CHOSEN = "LayerNorm", "chosen"


@dataclass(frozen=True)
class Figures:
    """One design for one layer.

    ``latency`` is in cycles from a token's first beat to the first result, ``cycles_per_token`` from one
    token to the next. ``bytes_per_token`` cross the chip's boundary if the norm stands alone there, with a
    token buffer on the chip; ``bytes_unbuffered`` without one (:class:`hwnorm.compare.traffic.Traffic`
    has the formulas). ``area_cycles`` is an energy *proxy*, not a measurement: area
    (LUTs, and flip-flops, DSP blocks and memories by the target's weights) times the cycles that a token
    keeps it busy.
    """

    layer: str
    design: str
    expression: str
    r2_bit_true: float | None
    lut: int
    ff: int
    dsp: int
    bram: int
    area: float
    fmax_mhz: float | None
    latency: int
    cycles_per_token: int
    elements_per_cycle: float
    bytes_per_token: int
    bytes_unbuffered: int
    area_cycles: float


def scalar_designs(
    profile: LayerProfile, formats: tuple[FixedFormat, FixedFormat], target: Target, clock_mhz: float
) -> dict[str, tuple[float, Datapath]]:
    """Of each family the function of the best R2, by family: that R2 of the integers, and the datapath.

    What the target cannot build for the clock is built for the fastest of halves of it that can be had.
    """
    found: dict[str, tuple[float, Datapath]] = {}
    clock = clock_mhz
    while len(found) < len(FAMILIES) and clock >= SLOWEST_MHZ:
        candidates = rivals(Judge(profile, formats, target, clock))
        for family in FAMILIES:
            members = [c for c in candidates if c.family == family and family not in found]
            for candidate in sorted(members, key=lambda c: c.error):
                try:
                    datapath = lower(candidate.expression, *formats, target, clock)
                except InputError:
                    continue
                found[family] = r2_of(profile, datapath), datapath
                break
        clock /= 2
    return found


def r2_of(profile: LayerProfile, datapath: Datapath) -> float:
    """R2 of the integers that the hardware computes."""
    codes = datapath.evaluate(datapath.input.quantize(profile.x))
    return profile.r2(datapath.output.to_float(codes))


def figures(
    layer: str,
    design: str,
    expression: str,
    r2: float | None,
    counts: Counts,
    fmax: float | None,
    kernel: StreamKernel | None,
    channels: int,
    lanes: int,
    target: Target,
) -> Figures:
    """The figures of a design whose cells were counted; ``kernel`` is None where nothing is built."""
    weights = target.weights
    logic = counts.in_unit(target.unit)
    weighed = (
        weights.area * logic + weights.ff * counts.ff + weights.dsp * counts.dsp + weights.bram * counts.bram
    )
    traffic = NOTHING if kernel is None else stream_traffic(kernel, channels)
    cycles = -(-channels // lanes)
    return Figures(
        layer=layer,
        design=design,
        expression=expression,
        r2_bit_true=r2,
        lut=counts.lut,
        ff=counts.ff,
        dsp=counts.dsp,
        bram=counts.bram,
        area=counts.area,
        fmax_mhz=fmax,
        latency=0 if kernel is None else kernel.latency,
        cycles_per_token=cycles,
        elements_per_cycle=channels / cycles,
        bytes_per_token=traffic.moved,
        bytes_unbuffered=traffic.unbuffered,
        area_cycles=round(weighed * cycles, 1),
    )
