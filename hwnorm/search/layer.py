"""The search of one layer, from its profile to a front of lowered, certified datapaths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.lower import lower
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.profile import LayerProfile
from hwnorm.search.evolve import evolve, random_state
from hwnorm.search.fitness import Candidate, Judge
from hwnorm.search.formats import input_format, output_format
from hwnorm.search.front import Point, non_dominated
from hwnorm.targets.cost import resources
from hwnorm.targets.target import Target, load_target

#: Corner of the hypervolume: a function that explains nothing, at this many LUT-equivalents.
WORST_CORNER = (1.0, 2000.0)
#: At most so many of the evolved functions are lowered and certified.
MOST_POINTS = 16


@dataclass(frozen=True)
class SearchSettings:
    """What a search depends on besides the profile; ``target`` is a name or a path."""

    input_bits: int
    output_bits: int
    target: str
    clock_mhz: float
    population: int
    generations: int
    seed: int


@dataclass(frozen=True)
class Front:
    """The non-dominated functions of a layer, cheapest first."""

    layer: str
    input: FixedFormat
    output: FixedFormat
    target: str
    ceiling_r2: float
    hypervolume: tuple[float, ...]
    points: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "layer": self.layer,
            "input": str(self.input),
            "output": str(self.output),
            "target": self.target,
            "ceiling_r2": self.ceiling_r2,
            "hypervolume": list(self.hypervolume),
            "points": [point.to_json() for point in self.points],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Front:
        """Rebuild a front from :meth:`to_json`'s result."""
        return cls(
            data["layer"],
            FixedFormat.parse(data["input"]),
            FixedFormat.parse(data["output"]),
            data["target"],
            data["ceiling_r2"],
            tuple(data["hypervolume"]),
            tuple(Point(**point) for point in data["points"]),
        )


def search_layer(layer: str, profile: LayerProfile, settings: SearchSettings) -> Front:
    """Search one layer. The outcome depends on the arguments alone, not on what else runs.

    Raises:
        InputError: no function could be lowered within the error bound.
    """
    target = load_target(settings.target)
    formats = input_format(profile, settings.input_bits), output_format(profile, settings.output_bits)
    judge = Judge(profile, formats, target, settings.clock_mhz)
    candidates, volumes = evolve(
        judge,
        random_state(settings.seed, layer),
        settings.population,
        settings.generations,
        WORST_CORNER,
    )
    measured = []
    for candidate in _spread(candidates, MOST_POINTS):
        try:
            datapath = lower(candidate.expression, *formats, target, settings.clock_mhz)
        except InputError:
            continue  # not to be had at this precision; the sketch could not know
        measured.append(measure(candidate, datapath, profile, target))
    points = non_dominated((point.error, point.cost, point) for point in measured)
    if not points:
        raise InputError(
            f"layer {layer}: none of {len(candidates)} functions can be built within 1 ulp of {formats[1]} "
            f"at {settings.clock_mhz:g} MHz; allow more output bits or a slower clock"
        )
    ceiling = profile.ceiling_r2
    return Front(layer, *formats, target.name, ceiling, tuple(volumes), tuple(points))


def measure(candidate: Candidate, datapath: Datapath, profile: LayerProfile, target: Target) -> Point:
    """The figures of a candidate and of the datapath that it became."""
    used = resources(datapath.nodes, datapath.latency, target)
    computed = datapath.output.to_float(datapath.evaluate(datapath.input.quantize(profile.x)))
    return Point(
        expression=str(candidate.expression),
        r2=candidate.r2,
        r2_bit_true=profile.r2(computed),
        tail=candidate.tail,
        error=candidate.error,
        lut=used.lut,
        ff=used.ff,
        dsp=used.dsp,
        latency=datapath.latency,
        max_error_ulp=datapath.certificate.max_error_ulp,
        cost=used.cost,
    )


def _spread(candidates: list[Candidate], most: int) -> list[Candidate]:
    """Up to ``most`` of a front, evenly along it, both ends among them."""
    if len(candidates) <= most:
        return candidates
    last = len(candidates) - 1
    return [candidates[round(i * last / (most - 1))] for i in range(most)]
