"""The evolution of one layer's functions: NSGA-II over typed trees, a state that can be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from deap import base, gp, tools

from hwnorm.errors import InputError
from hwnorm.expression import Expression, X, parse
from hwnorm.search.canonical import canonical, key
from hwnorm.search.fitness import Candidate, Judge
from hwnorm.search.front import hypervolume, non_dominated
from hwnorm.search.grammar import RNG, grow, primitive_set, to_expression, to_tree
from hwnorm.search.rivals import SHAPES, rivals

MAX_HEIGHT = 9
MAX_SIZE = 32
CROSSOVER = 0.6
#: Shapes that every population starts with, beside the rivals'; their constants are fitted.
SEEDS = (
    "x + clip(x, 1)",
    "clip(x, 1) + clip(x, 4)",
    "x + tanh(x)",
    "clip(x, 1) + tanh(x)",
    "tanh(x) + tanh(4*x)",
    "tanh(tanh(x))",
    "clip(x, 4) + x*square(clip(x, 4))",
    "tanh(x + 0.125*square(x))",
    # A token whose other elements have a fixed scale.
    "x*rsqrt(square(x) + 1)",
)
#: Of each generation so many shapes at most are priced, those that their guessed cost makes promising.
PRICED = 5
#: Corner of the hypervolume: a function that explains nothing, at this many LUT-equivalents.
WORST_CORNER = (1.0, 2000.0)

#: A generation reads the shapes that the last one read.
_parsed = lru_cache(maxsize=1 << 12)(parse)
_WORST = (1e9, 1e9)
#: Random shapes that are drawn for one that is a candidate.
_TRIES = 40


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0)


class Individual(gp.PrimitiveTree):  # type: ignore[misc]
    """A tree with its fitness: (error, cost)."""

    def __init__(self, nodes: Any) -> None:
        super().__init__(nodes)
        self.fitness = _Fitness()
        #: That of its canonical form.
        self.key = ""


@dataclass
class Known:
    """What is known of a shape: fitted, its error, its cost (a guess until it is priced)."""

    shape: str
    error: float
    cost: float
    priced: bool = False


@dataclass
class State:
    """All that an evolution goes on from: after a number of generations, and the same on any machine."""

    generation: int
    #: ``RNG.getstate()``.
    random: Any
    #: The population: keys of ``known``, and the shapes as trees are made of them.
    people: list[str]
    #: Every shape met, by the key of its canonical form; None for those that are no candidates.
    known: dict[str, Known | None]
    #: All non-dominated candidates met, rivals among them, cheapest first.
    archive: list[Candidate]
    #: Of each rival family what no other of the family beats.
    rivals: list[Candidate]
    #: One value a generation, the first population's among them.
    hypervolume: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "generation": self.generation,
            "random": [self.random[0], list(self.random[1]), self.random[2]],
            "people": self.people,
            "known": {k: asdict(v) if v else None for k, v in self.known.items()},
            "archive": [c.to_json() for c in self.archive],
            "rivals": [c.to_json() for c in self.rivals],
            "hypervolume": self.hypervolume,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> State:
        """Rebuild a state from :meth:`to_json`.

        Raises:
            InputError, KeyError, TypeError, ValueError: a field is missing or of the wrong kind.
        """
        version, words, gauss = data["random"]
        return cls(
            int(data["generation"]),
            (version, tuple(words), gauss),
            list(data["people"]),
            {k: Known(**v) if v else None for k, v in data["known"].items()},
            [Candidate.from_json(c) for c in data["archive"]],
            [Candidate.from_json(c) for c in data["rivals"]],
            list(data["hypervolume"]),
        )


def random_state(seed: int, layer: str) -> int:
    """The seed of a layer's own random stream: independent of order and number of jobs."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{layer}".encode()).digest()[:8], "big")


class Evolution:
    """Evolves functions for one layer.

    DEAP draws from the process's one random stream: there may be one evolution at a time in a process.
    """

    def __init__(
        self,
        judge: Judge,
        population: int,
        operators: frozenset[str] | None = None,
        seeds: tuple[Expression, ...] = (),
    ) -> None:
        """Take the judge, individuals a generation (a multiple of 4), the operators, and further seeds."""
        self._judge = judge
        self._population = population
        self._operators = operators
        self._seeds = seeds
        self._pset = primitive_set(operators)

    def begin(self, seed: int) -> State:
        """The first population, made with the random stream of ``seed``, and the rivals."""
        RNG.seed(seed)
        others = rivals(self._judge, self._operators)
        state = State(0, None, [], {}, non_dominated((c.error, c.cost, c) for c in others), others)
        texts = [*SEEDS, *(text for shapes in SHAPES.values() for text in shapes)]
        people: list[Individual] = []
        met: set[str] = set()
        for shape in [*self._seeds, *map(parse, texts)]:
            individual = self._seed(shape)
            if individual is not None and self._score(individual, state) and individual.key not in met:
                people.append(individual)
                met.add(individual.key)
        while len(people) < self._population:
            people.append(self._fresh(state, met))
            met.add(people[-1].key)
        del people[self._population :]
        self._end(state, people)
        return state

    def advance(self, state: State) -> None:
        """One generation more."""
        RNG.setstate(state.random)
        people = [self._individual(state, k) for k in state.people]
        people = tools.selNSGA2(people, self._population, nd="log")
        met = set(state.people)
        parents = tools.selTournamentDCD(people, self._population)
        children = []
        for mother, father in zip(parents[::2], parents[1::2], strict=True):
            for child in self._offspring(mother, father):
                if not self._score(child, state) or child.key in met:
                    child = self._fresh(state, met)  # a twin adds nothing
                met.add(child.key)
                children.append(child)
        people = tools.selNSGA2(people + children, self._population, nd="log")
        state.generation += 1
        self._end(state, people)

    def _end(self, state: State, people: list[Individual]) -> None:
        state.people = [individual.key for individual in people]
        self._price(state)
        volume = hypervolume([(c.error, c.cost) for c in state.archive], WORST_CORNER)
        state.hypervolume.append(volume)
        state.random = RNG.getstate()

    # --- scoring ---------------------------------------------------------------------------------

    def _score(self, individual: Individual, state: State) -> bool:
        """Give an individual its key and fitness; False where it is no candidate."""
        try:
            form = canonical(to_expression(individual))
        except InputError:
            form = None
        individual.key = "" if form is None else key(form)
        if form is not None and individual.key not in state.known:
            tuned = self._judge.tuned(form)
            state.known[individual.key] = (
                None
                if tuned is None
                # No finite cost where a shape has no value somewhere, and JSON has none other.
                else Known(str(tuned.shape), tuned.error, min(tuned.guess, _WORST[1]))
            )
        known = state.known.get(individual.key)
        individual.fitness.values = _WORST if known is None else (known.error, known.cost)
        return known is not None

    def _price(self, state: State) -> None:
        """Price the population's most promising shapes, and let the archive have them."""
        promising = []
        for k in dict.fromkeys(state.people):
            known = state.known[k]
            assert known is not None
            if not known.priced and not any(
                c.error <= known.error and c.cost <= known.cost for c in state.archive
            ):
                promising.append((known.error, known.cost, known))
        for known in spread(non_dominated(promising), PRICED):
            made = self._judge.candidates(_form(parse(known.shape)))
            known.priced = True
            known.cost = made[0].cost if made else _WORST[1]
            state.archive = non_dominated((c.error, c.cost, c) for c in [*state.archive, *made])

    # --- individuals -----------------------------------------------------------------------------

    def _individual(self, state: State, shape_key: str) -> Individual:
        known = state.known[shape_key]
        assert known is not None
        individual = Individual(to_tree(_parsed(known.shape), self._pset))
        individual.key = shape_key
        individual.fitness.values = known.error, known.cost
        return individual

    def _seed(self, shape: Expression) -> Individual | None:
        """The individual of a seed; None where it is not of the grammar, or is a constant."""
        form = canonical(shape)
        try:
            return None if form is None else Individual(to_tree(form, self._pset))
        except ValueError:
            return None

    def _fresh(self, state: State, met: set[str]) -> Individual:
        """A random individual that is a candidate, and a new one if a few tries find one."""
        for tries in range(_TRIES):
            individual = Individual(grow(self._pset, 1, 3))
            if self._score(individual, state) and (individual.key not in met or tries > _TRIES // 2):
                return individual
        individual = Individual(to_tree(X, self._pset))
        if not self._score(individual, state):
            raise InputError("a straight line cannot be fitted: the layer's output does not vary with x")
        return individual

    def _offspring(self, mother: Individual, father: Individual) -> Iterator[Individual]:
        first, second = Individual(mother), Individual(father)
        if RNG.random() < CROSSOVER:
            _cross(first, second)
        else:
            first, second = self._mutate(first), self._mutate(second)
        for child, parent in ((first, mother), (second, father)):
            fits = child.height <= MAX_HEIGHT and len(child) <= MAX_SIZE
            yield Individual(child if fits else parent)

    def _mutate(self, individual: Individual) -> Individual:
        kind = RNG.random()
        if kind < 0.5:
            (mutant,) = gp.mutUniform(individual, expr=_small, pset=self._pset)
        elif kind < 0.65:
            (mutant,) = gp.mutNodeReplacement(individual, pset=self._pset)
        elif kind < 0.8:
            (mutant,) = gp.mutInsert(individual, pset=self._pset)
        else:
            (mutant,) = gp.mutShrink(individual)
        return mutant  # type: ignore[no-any-return]


def _form(shape: Expression) -> Expression:
    form = canonical(shape)
    assert form is not None
    return form


def spread(items: list[Any], most: int) -> list[Any]:
    """Up to ``most`` of a front, evenly along it, both ends among them."""
    if len(items) <= most:
        return items
    last = len(items) - 1
    return [items[round(i * last / (most - 1))] for i in range(most)]


def _cross(first: Individual, second: Individual) -> None:
    """Swap two subtrees of one type, in place.

    DEAP's own crossover draws the type from a set of classes, whose order differs between processes:
    the same seed would not give the same front.
    """
    i = RNG.randrange(len(first))
    places = [j for j, node in enumerate(second) if node.ret is first[i].ret]
    if places:
        here, there = first.searchSubtree(i), second.searchSubtree(RNG.choice(places))
        first[here], second[there] = second[there], first[here]


def _small(pset: gp.PrimitiveSetTyped, type_: type) -> list[Any]:
    # The names of the arguments are those with which DEAP calls.
    return grow(pset, 0, 2, type_)
