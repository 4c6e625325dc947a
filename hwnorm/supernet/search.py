"""The search among subnets: NSGA-II, and three others to hold it against.

Each asks for so many subnets in generations; the scores of a generation do not depend on who found them, so a
search that was stopped is gone through again with what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from deap import base, tools

from hwnorm.search.front import hypervolume, non_dominated
from hwnorm.search.grammar import RNG
from hwnorm.supernet.space import Gene, Space, Subnet

Method = Literal["nsga2", "random", "uniform", "autoformer"]
#: Probabilities of a mutation: that a depth, a width, a block changes in AutoFormer's evolution; and in ours,
#: where a change is mostly one step of an axis: what was found is near what is to be found.
_FAR, _NEAR = (0.2, 0.2, 0.4), (0.1, 0.1, 0.25)
#: That a change goes farther than a step.
_LEAP = 0.2
#: Of AutoFormer's evolution: the best that become parents, and the limits of cycles that it is run under, one
#: after the other, as shares between the smallest and the largest subnet's.
_PARENTS, _LIMITS = 10, (0.2, 0.4, 0.6, 0.8)
#: Random subnets that are drawn for one that was not asked for yet.
_TRIES = 50


@dataclass(frozen=True)
class Score:
    """Of one subnet: its loss on held-out images, and the cycles of the fastest engine for it.

    ``loss`` is as in :class:`hwnorm.network.output_loss.Measured`, ``agreement`` too. ``engine`` is in words.
    """

    loss: float
    agreement: float | None
    cycles: int
    products: int
    weight_bits: int
    engine: str


#: Scores subnets, in their order; None of one that no engine within the budget runs.
Scorer = Callable[[Sequence[Subnet]], list[Score | None]]


@dataclass(frozen=True)
class Genome:
    """A width, a depth, and a gene of every block, those that are left out among them."""

    width: int
    depth: int
    genes: tuple[Gene, ...]


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0, -1.0)


class _Individual:
    """A genome as DEAP takes it: with its fitness, (loss, cycles)."""

    def __init__(self, genome: Genome) -> None:
        self.genome, self.fitness = genome, _Fitness()


class Search:
    """One search of a space by a method.

    Args:
        scorer: of subnets; is asked once for each.
        population: subnets of a generation.
        count: subnets that are scored, at most.
        cycles: what a subnet may take; those that take more are dropped. None: any.
        step: is called with the search whenever more is scored.
    """

    def __init__(
        self,
        space: Space,
        scorer: Scorer,
        *,
        seed: int,
        population: int,
        count: int,
        cycles: int | None = None,
        step: Callable[[Search], None] = lambda search: None,
    ) -> None:
        self.space, self.scorer, self.population, self.count = space, scorer, population, count
        self.cycles, self.step = cycles, step
        self.seed = seed
        # What DEAP draws from too.
        self.random = RNG
        #: In the order in which they were asked for.
        self.scores: dict[Subnet, Score | None] = {}

    def run(self, method: Method) -> dict[Subnet, Score | None]:
        """Search, and return every subnet that was scored."""
        self.random.seed(self.seed)
        {
            "nsga2": self._nsga2,
            "random": self._drawn,
            "uniform": self._uniform,
            "autoformer": self._autoformer,
        }[method]()
        return self.scores

    @property
    def front(self) -> list[tuple[Subnet, Score]]:
        """What no other subnet beats in loss and cycles, the fewest cycles first."""
        return front_of(self.scores, self.cycles)

    # What is asked for.

    def _ask(self, subnets: Iterable[Subnet]) -> None:
        """Score those that were not, as many as are left."""
        new = [s for s in dict.fromkeys(subnets) if s not in self.scores]
        new = new[: self.count - len(self.scores)]
        if new:
            self.scores |= dict(zip(new, self.scorer(new), strict=True))
            self.step(self)

    def _subnet(self, genome: Genome) -> Subnet:
        return self.space.subnet(genome.width, genome.depth, genome.genes)

    def _genome(self) -> Genome:
        space, draw = self.space, self.random.choice
        genes = tuple(space.random_gene(self.random) for _ in space.order)
        return Genome(draw(space.width), draw(space.depth), genes)

    def _fits(self, subnet: Subnet) -> bool:
        score = self.scores.get(subnet)
        return score is not None and (self.cycles is None or score.cycles <= self.cycles)

    # Methods.

    def _drawn(self) -> None:
        while len(self.scores) < self.count and self._ask_new(self._genome, self.population):
            pass

    def _ask_new(self, draw: Callable[[], Genome], count: int) -> list[Genome]:
        """Score so many genomes whose subnets were not asked for; returns those that were found."""
        found: dict[Subnet, Genome] = {}
        for _ in range(_TRIES * count):
            genome = draw()
            subnet = self._subnet(genome)
            if subnet not in self.scores:
                found.setdefault(subnet, genome)
            if len(found) == min(count, self.count - len(self.scores)):
                break
        self._ask(found)
        return list(found.values())

    def _uniform(self) -> None:
        """Blocks that are all alike, as far apart as they can be."""
        every = self.space.uniforms()
        self.random.shuffle(every)
        self._ask(every[: self.count])

    def _seeds(self) -> list[Genome]:
        """Uniform ones from the largest to the smallest: each axis by the same share of its steps."""
        space, count = self.space, len(self.space.order)
        axes: list[Sequence[Any]] = [space.width, space.depth, space.heads, space.mlp, space.ratio8]
        steps = max(len(axis) for axis in axes)
        found = []
        for i in range(steps):
            share = i / max(1, steps - 1)
            width, depth, *gene = (axis[round(share * (len(axis) - 1))] for axis in axes)
            found.append(Genome(width, depth, (Gene(*gene),) * count))
        # One axis at a time from the largest.
        whole, ratio8 = found[-1], space.ratio8[0]
        found += [Genome(width, whole.depth, whole.genes) for width in space.width[:-1]]
        found += [Genome(whole.width, depth, whole.genes) for depth in space.depth[:-1]]
        genes = [Gene(heads, space.mlp[-1], ratio8) for heads in space.heads]
        genes += [Gene(space.heads[-1], mlp, ratio8) for mlp in space.mlp[:-1]]
        return found + [Genome(whole.width, whole.depth, (gene,) * count) for gene in genes]

    def _nsga2(self) -> None:
        seeds = self._seeds()[: self.population // 2]
        self._ask(self._subnet(genome) for genome in seeds)
        people = [*seeds, *self._ask_new(self._genome, self.population - len(seeds))]
        while len(self.scores) < self.count:
            parents = self._selected(people)
            # Where nothing is fast enough yet, chance goes on.
            draw = partial(self._child, _winners(parents)) if parents else self._genome
            children = self._ask_new(draw, self.population)
            if not children:
                return
            people = [parent.genome for parent in parents] + children

    def _child(self, parents: Sequence[_Individual]) -> Genome:
        one, two = (self.random.choice(parents).genome for _ in range(2))
        return self._mutated(self._crossed(one, two), _NEAR, self._stepped)

    def _selected(self, genomes: Sequence[Genome]) -> list[_Individual]:
        """The best of them by NSGA-II, among those that are feasible."""
        alike: dict[Subnet, _Individual] = {}
        for genome in genomes:
            subnet = self._subnet(genome)
            score = self.scores.get(subnet)
            if score is not None and self._fits(subnet):
                alike[subnet] = _Individual(genome)
                alike[subnet].fitness.values = (score.loss, score.cycles)
        if not alike:
            return []
        found: list[_Individual] = tools.selNSGA2(list(alike.values()), self.population, nd="log")
        return found

    def _crossed(self, one: Genome, two: Genome) -> Genome:
        """Each gene, the width and the depth from either parent."""
        pick = self.random.choice
        genes = tuple(pick(pair) for pair in zip(one.genes, two.genes, strict=True))
        return Genome(pick((one.width, two.width)), pick((one.depth, two.depth)), genes)

    def _mutated(
        self, genome: Genome, chances: tuple[float, float, float], move: Callable[[Sequence[Any], Any], Any]
    ) -> Genome:
        """First the depth, then the width and the blocks, one axis of each.

        Args:
            chances: that the depth, the width, a block changes.
            move: another value of an axis, from the one that is there.
        """
        random, space = self.random, self.space
        of_depth, of_width, of_block = chances
        depth = move(space.depth, genome.depth) if random.random() < of_depth else genome.depth
        width = move(space.width, genome.width) if random.random() < of_width else genome.width
        genes = []
        for gene in genome.genes:
            if random.random() < of_block:
                axis = random.choice(("heads", "mlp", "ratio8"))
                gene = replace(gene, **{axis: move(getattr(space, axis), getattr(gene, axis))})
            genes.append(gene)
        return Genome(width, depth, tuple(genes))

    def _drawn_value(self, axis: Sequence[Any], value: Any) -> Any:
        return self.random.choice(axis)

    def _stepped(self, axis: Sequence[Any], value: Any) -> Any:
        """A value beside the one that is there; at times any."""
        if self.random.random() < _LEAP:
            return self.random.choice(axis)
        place = axis.index(value) + self.random.choice((-1, 1))
        return axis[min(max(place, 0), len(axis) - 1)]

    def _autoformer(self) -> None:
        """AutoFormer's evolution (M. Chen et al., arXiv 2107.00651), under one limit of cycles after another.

        Half of a generation are children of two of the best, half are mutated ones of them.
        """
        ends = [self.space.smallest, self.space.largest]
        self._ask(ends)
        low, high = (score.cycles if (score := self.scores[end]) is not None else 0 for end in ends)
        share = (self.count - len(self.scores)) // len(_LIMITS)
        for limit in _LIMITS:
            stop = self.count if limit == _LIMITS[-1] else len(self.scores) + share
            self._evolved(low + limit * (high - low), stop)

    def _evolved(self, most: float, stop: int) -> None:
        """Under one limit of cycles, until so many subnets are scored."""

        def best() -> list[Genome]:
            scored = [
                (score.loss, i, genome)
                for i, genome in enumerate(people)
                if (score := self.scores.get(self._subnet(genome))) is not None
                and score.cycles <= most
                and self._fits(self._subnet(genome))
            ]
            return [genome for _, _, genome in sorted(scored)[:_PARENTS]]

        def drawn() -> Genome:
            return self.random.choice(parents)

        people = self._ask_new(self._genome, min(self.population, stop - len(self.scores)))
        while len(self.scores) < stop:
            parents, wanted = best(), min(self.population, stop - len(self.scores))
            if parents:
                new = self._ask_new(lambda: self._crossed(drawn(), drawn()), wanted // 2)
                new += self._ask_new(
                    lambda: self._mutated(drawn(), _FAR, self._drawn_value), wanted - wanted // 2
                )
            else:
                new = self._ask_new(self._genome, wanted)
            if not new:
                return
            people = parents + new


def _winners(people: list[_Individual]) -> list[_Individual]:
    """Of a tournament by rank and crowding; of too few for one all."""
    if len(people) < 4:
        return people
    found: list[_Individual] = tools.selTournamentDCD(people, len(people) // 4 * 4)
    return found


def front_of(scores: dict[Subnet, Score | None], cycles: int | None = None) -> list[tuple[Subnet, Score]]:
    """What no other subnet beats or equals in loss and cycles, the fewest cycles first."""
    return non_dominated(
        (score.loss, float(score.cycles), (subnet, score))
        for subnet, score in scores.items()
        if score is not None and (cycles is None or score.cycles <= cycles)
    )


def volume(scores: Iterable[Score | None], worst: tuple[float, float]) -> float:
    """The area between the front of (loss, cycles) and a corner, as a share of the box from nothing to it."""
    points = [(score.loss, float(score.cycles)) for score in scores if score is not None]
    return hypervolume(points, worst) / (worst[0] * worst[1])
