"""Which networks there are between one trained network and its smallest subnet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random


@dataclass(frozen=True, order=True)
class Block:
    """What is left of a block: heads of its attention, units of its MLP, the share of its rows with 8 bits.

    The other rows have 4 bits.
    """

    heads: int
    units: int
    ratio8: float

    def __str__(self) -> str:
        return f"{self.heads}h{self.units}u{100 * self.ratio8:g}%"


@dataclass(frozen=True)
class Subnet:
    """Channels of the residual stream, and what is left of each block of the whole network.

    None stands for a block that is left out.
    """

    width: int
    blocks: tuple[Block | None, ...]

    @property
    def depth(self) -> int:
        return sum(block is not None for block in self.blocks)

    @property
    def kept(self) -> tuple[int, ...]:
        """The blocks that are there, by their place in the whole network."""
        return tuple(i for i, block in enumerate(self.blocks) if block is not None)

    def behind(self, block: int) -> int:
        """The last of the blocks that are left out right behind one; itself where there is none."""
        last = block
        while last + 1 < len(self.blocks) and self.blocks[last + 1] is None:
            last += 1
        return last

    def __str__(self) -> str:
        return f"{self.width}: " + " ".join("-" if block is None else str(block) for block in self.blocks)


@dataclass(frozen=True)
class Gene:
    """What a search has of a block: as :class:`Block`, its MLP as a multiple of the stream's width."""

    heads: int
    mlp: float
    ratio8: float


@dataclass(frozen=True)
class Space:
    """What is elastic, and in which steps; each axis in ascending order.

    Attributes:
        width: channels of the residual stream.
        depth: blocks.
        heads, mlp, ratio8: of each block by itself; the units of its MLP are ``mlp`` times the width.
        order: the blocks of the whole network, the one that is left out first at its end.
    """

    width: tuple[int, ...]
    depth: tuple[int, ...]
    heads: tuple[int, ...]
    mlp: tuple[float, ...]
    ratio8: tuple[float, ...]
    order: tuple[int, ...]

    def subnet(self, width: int, depth: int, genes: Sequence[Gene]) -> Subnet:
        """Of a depth those blocks that come first in the space's order."""
        kept = set(self.order[:depth])
        return Subnet(
            width,
            tuple(
                Block(gene.heads, round(gene.mlp * width), gene.ratio8) if i in kept else None
                for i, gene in enumerate(genes)
            ),
        )

    def uniform(self, width: int, depth: int, gene: Gene) -> Subnet:
        """Whose blocks are all alike."""
        return self.subnet(width, depth, [gene] * len(self.order))

    @property
    def largest(self) -> Subnet:
        """All of it, with as many 8-bit rows as there can be."""
        return self.uniform(self.width[-1], self.depth[-1], self.genes[-1])

    @property
    def smallest(self) -> Subnet:
        return self.uniform(self.width[0], self.depth[0], self.genes[0])

    def uniforms(self) -> list[Subnet]:
        """All whose blocks are all alike."""
        sizes = list(product(self.width, self.depth))
        return [self.uniform(width, depth, gene) for width, depth in sizes for gene in self.genes]

    @property
    def genes(self) -> list[Gene]:
        """All of a block, the largest last."""
        return [Gene(*values) for values in product(self.heads, self.mlp, self.ratio8)]

    def random_gene(self, random: Random) -> Gene:
        """Each choice by itself, all values alike."""
        return random.choice(self.genes)

    def random(self, random: Random) -> Subnet:
        """Width, depth and every gene by itself, all values alike."""
        genes = [self.random_gene(random) for _ in self.order]
        return self.subnet(random.choice(self.width), random.choice(self.depth), genes)
