"""The search of one layer, from its profile to a front of lowered, certified datapaths."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hwnorm.artefact import Artefact
from hwnorm.cost.cost import resources
from hwnorm.datapath.ir import Datapath
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.names import LayerName
from hwnorm.profile import LayerProfile
from hwnorm.search.evolve import Evolution, State, random_state, spread
from hwnorm.search.fitness import Candidate, Judge, settled
from hwnorm.search.formats import input_format, output_format
from hwnorm.search.front import Point, front_of
from hwnorm.search.grammar import operators_of
from hwnorm.search.price import Limits
from hwnorm.targets.target import Target, load_target

#: At most so many functions of an archive are lowered and certified, and all the rivals: what they take is
#: known too roughly before to tell which of them the front needs.
MOST_POINTS = 16

#: Threads of a process share the search's random stream.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class SearchSettings:
    """What a search depends on besides the profile; ``target`` is a name or a path.

    ``cost_weights`` are those of the target that are changed (:func:`hwnorm.targets.target.load_target`).
    ``operators`` are comma-separated; ``warm`` are expressions that the population starts with.
    """

    input_bits: int
    output_bits: int
    target: str
    clock_mhz: float
    population: int
    generations: int
    seed: int
    restarts: int = 1
    cost_weights: str = ""
    max_lut: int | None = None
    max_latency: int | None = None
    no_dsp: bool = False
    operators: str | None = None
    warm: tuple[str, ...] = ()

    @property
    def limits(self) -> Limits:
        """What a datapath may take."""
        return Limits(self.max_lut, self.max_latency, 0 if self.no_dsp else None)


class Front(Artefact):
    """The non-dominated functions of a layer, cheapest first.

    ``position`` is the layer's place in the order of execution; ``hypervolume`` has one value a generation.
    """

    KIND = "front"

    layer: LayerName
    position: int = 0
    input: FixedFormat
    output: FixedFormat
    target: str
    ceiling_r2: float
    hypervolume: tuple[float, ...]
    points: tuple[Point, ...]


class LayerSearch:
    """One layer's search. What it finds depends on its arguments alone, not on what else runs."""

    def __init__(self, layer: str, profile: LayerProfile, settings: SearchSettings) -> None:
        self._layer, self._profile, self._settings = layer, profile, settings
        self._target = load_target(settings.target, settings.cost_weights)
        self._formats = (
            input_format(profile, settings.input_bits),
            output_format(profile, settings.output_bits),
        )
        #: Scores functions for this layer.
        self.judge = Judge(profile, self._formats, self._target, settings.clock_mhz, settings.limits)
        self._evolution = Evolution(
            self.judge,
            settings.population,
            operators_of(settings.operators),
            tuple(parse(text) for text in settings.warm),
        )

    def advance(self, state: State | None, start: int, generations: int) -> State:
        """Up to so many generations more, from ``state`` or the beginning; ``start`` counts the restarts."""
        with _ONE_AT_A_TIME:
            if state is None:
                name = f"{self._layer}:{start}" if start else self._layer
                state = self._evolution.begin(random_state(self._settings.seed, name))
            last = min(state.generation + generations, self._settings.generations)
            while state.generation < last:
                self._evolution.advance(state)
        return state

    def measured(self, candidates: Iterable[Candidate]) -> list[Point]:
        """Those that can be built within the limits, by the figures of their datapaths."""
        points = []
        for candidate in candidates:
            try:
                datapath = lower(candidate.expression, *self._formats, self._target, self._settings.clock_mhz)
            except InputError:
                continue  # not to be had at this precision; its price could not know
            if self._settings.limits.admit(
                resources(datapath.nodes, datapath.latency, self._target), datapath.latency
            ):
                points.append(measure(candidate, datapath, self._profile, self._target))
        return points

    def front(self, states: list[State]) -> Front:
        """The front of what the restarts have found, rivals among it.

        Raises:
            InputError: no function can be built within the error bound and the limits.
        """
        pool: dict[Any, Candidate] = {}
        for state in states:
            pool.update((c.expression, c) for c in [*spread(state.archive, MOST_POINTS), *state.rivals])
        points = front_of(self.measured(pool.values()))
        s = self._settings
        if not points:
            raise InputError(
                f"layer {self._layer}: none of {len(pool)} functions can be built within 1 ulp of "
                f"{self._formats[1]} at {s.clock_mhz:g} MHz and the limits that were given; allow more, or "
                "more output bits, or a slower clock"
            )
        volumes = [max(values) for values in zip(*(state.hypervolume for state in states), strict=True)]
        return Front(
            layer=self._layer,
            input=self._formats[0],
            output=self._formats[1],
            target=self._target.name,
            ceiling_r2=settled(self._profile.ceiling_r2),
            hypervolume=tuple(volumes),
            points=tuple(points),
        )


def search_layer(layer: str, profile: LayerProfile, settings: SearchSettings) -> Front:
    """Search one layer from its beginning to its end, here.

    Raises:
        InputError: no function can be built within the error bound and the limits.
    """
    search = LayerSearch(layer, profile, settings)
    states = [search.advance(None, start, settings.generations) for start in range(settings.restarts)]
    return search.front(states)


def measure(candidate: Candidate, datapath: Datapath, profile: LayerProfile, target: Target) -> Point:
    """The figures of a candidate and of the datapath that it became."""
    used = resources(datapath.nodes, datapath.latency, target)
    computed = datapath.output.to_float(datapath.evaluate(datapath.input.quantize(profile.x)))
    r2 = settled(profile.r2(computed))
    return Point(
        expression=str(candidate.expression),
        family=candidate.family,
        r2=candidate.r2,
        r2_bit_true=r2,
        tail=candidate.tail,
        error=settled(1.0 - r2 + candidate.tail),
        lut=used.lut,
        ff=used.ff,
        dsp=used.dsp,
        latency=datapath.latency,
        max_error_ulp=datapath.certificate.max_error_ulp,
        cost=used.cost,
    )
