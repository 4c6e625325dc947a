"""The evolution of one layer's functions: NSGA-II over typed trees."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from deap import base, gp, tools

from hwnorm.expression import Expression, parse
from hwnorm.search.fitness import WORST, Candidate, Judge
from hwnorm.search.front import hypervolume, non_dominated
from hwnorm.search.grammar import grow, primitive_set, to_expression, to_tree

MAX_HEIGHT = 6
MAX_SIZE = 24
CROSSOVER = 0.6
#: Shapes that every population starts with; gain and offset are fitted to each.
SEEDS = ("x", "clip(x, 1)", "clip(x, 2)", "clip(x, 4)", "tanh(x)", "tanh(0.5*x)", "tanh(0.25*x)")


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0)


class Individual(gp.PrimitiveTree):  # type: ignore[misc]
    """A tree with its fitness: (error, cost)."""

    def __init__(self, nodes: Any) -> None:
        super().__init__(nodes)
        self.fitness = _Fitness()


def random_state(seed: int, layer: str) -> int:
    """The seed of a layer's own random stream: independent of order and number of jobs."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{layer}".encode()).digest()[:8], "big")


def evolve(
    judge: Judge,
    state: int,
    population: int,
    generations: int,
    worst: tuple[float, float],
    on_generation: Callable[[int], None] | None = None,
) -> tuple[list[Candidate], list[float]]:
    """Evolve and return all non-dominated candidates met, cheapest first, and hypervolumes.

    Args:
        judge: scores the shapes.
        state: seed of the random stream; it alone decides the outcome.
        population: individuals a generation, a multiple of 4 as the tournament wants it.
        generations: how many after the first.
        worst: the (error, cost) corner of the hypervolume, one value a generation.
    """
    random.seed(state)
    pset = primitive_set()
    archive: dict[Expression, Candidate] = {}

    def score(individual: Individual) -> None:
        candidate = judge.candidate(to_expression(individual))
        individual.fitness.values = WORST if candidate is None else (candidate.error, candidate.cost)
        if candidate is not None:
            archive[candidate.expression] = candidate

    def fresh() -> Individual:
        return Individual(grow(pset, 1, 3))

    start = [Individual(to_tree(parse(text), pset)) for text in SEEDS]
    people = start + [fresh() for _ in range(population - len(start))]
    for individual in people:
        score(individual)
    people = tools.selNSGA2(people, population, nd="log")
    volumes = []
    for generation in range(generations + 1):
        front = non_dominated((c.error, c.cost, c) for c in archive.values())
        archive = {c.expression: c for c in front}
        volumes.append(hypervolume([(c.error, c.cost) for c in front], worst))
        if on_generation is not None:
            on_generation(generation)
        if generation == generations:
            break
        known = {to_expression(individual) for individual in people}
        parents = tools.selTournamentDCD(people, population)
        children = []
        for mother, father in zip(parents[::2], parents[1::2], strict=True):
            for child in _offspring(mother, father, pset):
                shape = to_expression(child)
                if shape in known:
                    child = fresh()  # a twin adds nothing
                known.add(shape)
                score(child)
                children.append(child)
        people = tools.selNSGA2(people + children, population, nd="log")
    return front, volumes


def _offspring(mother: Individual, father: Individual, pset: gp.PrimitiveSetTyped) -> Iterator[Individual]:
    first, second = Individual(mother), Individual(father)
    if random.random() < CROSSOVER:
        _cross(first, second)
    else:
        first, second = _mutate(first, pset), _mutate(second, pset)
    for child, parent in ((first, mother), (second, father)):
        fits = child.height <= MAX_HEIGHT and len(child) <= MAX_SIZE
        yield Individual(child if fits else parent)


def _cross(first: Individual, second: Individual) -> None:
    """Swap two subtrees of one type, in place.

    DEAP's own crossover draws the type from a set of classes, whose order differs between processes:
    the same seed would not give the same front.
    """
    i = random.randrange(len(first))
    places = [j for j, node in enumerate(second) if node.ret is first[i].ret]
    if places:
        here, there = first.searchSubtree(i), second.searchSubtree(random.choice(places))
        first[here], second[there] = second[there], first[here]


def _mutate(individual: Individual, pset: gp.PrimitiveSetTyped) -> Individual:
    kind = random.random()
    if kind < 0.35:
        (mutant,) = gp.mutUniform(individual, expr=_small, pset=pset)
    elif kind < 0.65:
        (mutant,) = gp.mutEphemeral(individual, mode="one")
    elif kind < 0.8:
        (mutant,) = gp.mutNodeReplacement(individual, pset=pset)
    elif kind < 0.9:
        (mutant,) = gp.mutInsert(individual, pset=pset)
    else:
        (mutant,) = gp.mutShrink(individual)
    return mutant  # type: ignore[no-any-return]


def _small(pset: gp.PrimitiveSetTyped, type_: type) -> list[Any]:
    # The names of the arguments are those with which DEAP calls.
    return grow(pset, 0, 2, type_)
