"""Quasar-ViT's spaces searched by parameters and cycles: networks of its sizes, and their images a second.

.venv/bin/python benchmarks/nas_quasar.py [--subnets 64] [--clock 150] [--budget lut=0.65,dsp=0.69,bram=0.44]

NSGA-II looks for many parameters and few cycles of the fastest engine within the shares of a ZCU102. Of its
front the network whose parameters come nearest to each published one is told. Nothing is trained and there
is no ImageNet here: accuracy is no part of it. The clock is an assumption.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from engine_devices import QUASAR
from rich.table import Table
from shapes import CLASSES, HEAD, IMAGE, PATCH, TOKENS, Shape

from hwnorm.engine.devices import budget_of
from hwnorm.engine.space import Fastest, NoEngine
from hwnorm.integers import rows
from hwnorm.nas.presets import PRESETS
from hwnorm.progress import err
from hwnorm.stages.tables import print_wide
from hwnorm.supernet.cost import Costs
from hwnorm.supernet.search import Score, Search
from hwnorm.supernet.slices import STREAM, Groups, block_of, heads_of, units_of
from hwnorm.supernet.space import Space, Subnet
from hwnorm.supernet.supernet import ROW_STEP

#: Bits of activations.
BITS = 8


def space_of(preset: str) -> Space:
    """A preset; which blocks are left out makes no difference here."""
    axes = PRESETS[preset]
    names = ("width", "depth", "heads", "mlp", "ratio8")
    return Space(*(tuple(axes[name]) for name in names), tuple(range(axes["depth"][-1])))


class Sizes:
    """Costs and parameters of a space's subnets.

    Args:
        budget: what an engine may take.
    """

    def __init__(self, space: Space, budget: str) -> None:
        depth, width = space.depth[-1], space.width[-1]
        units = round(space.mlp[-1] * width)
        network = Shape(width, space.heads[-1], units, depth).network(1.0, BITS)
        of: dict[str, str | None] = dict.fromkeys(("patches", "head"))
        of |= dict.fromkeys(("positions", "embed", "norm", "token"), STREAM)
        sizes = {STREAM: width}
        for i in range(depth):
            groups = {
                STREAM: ("norm1", "stream1", "norm2", "stream2"),
                heads_of(i): ("q", "k", "v", "context"),
                units_of(i): ("fc1", "act"),
            }
            for group, names in groups.items():
                of |= dict.fromkeys((f"blocks.{i}.{name}" for name in names), group)
            of |= dict.fromkeys((f"blocks.{i}.scores", f"blocks.{i}.p"))
            sizes |= {heads_of(i): space.heads[-1] * HEAD, units_of(i): units}
        self.groups = Groups(of, sizes, HEAD, {})
        self.linears = network.linears
        fastest = Fastest(IMAGE, budget_of(budget, "xcup"), "xcup", BITS)
        self.costs = Costs(network, self.groups, IMAGE, fastest)

    def bits(self, subnet: Subnet) -> dict[str, np.ndarray]:
        """Of each row: the first of each layer of a block have 8, the layers outside of blocks have 8."""
        found = {}
        for op in self.linears:
            number = block_of(op.out)
            block = None if number is None else subnet.blocks[number]
            if number is not None and block is None:
                continue
            count = self.groups.count(self.groups.of[op.out], subnet) or len(op.weight)
            found[op.out] = bits = np.full(count, rows.WIDE, dtype=np.uint8)
            if block is not None:
                bits[rows.layer_count(count, block.ratio8, ROW_STEP) :] = rows.NARROW
        return found

    def score(self, subnet: Subnet) -> Score | None:
        """The more parameters the less is lost; nothing else is known of it."""
        try:
            cost = self.costs(subnet, self.bits(subnet))
        except NoEngine:
            return None
        engine = str(cost.candidate.engine)
        return Score(-parameters(subnet), None, cost.cycles, cost.products, cost.weight_bits, engine)


def parameters(subnet: Subnet) -> int:
    """Of the float network with its LayerNorms, as :class:`shapes.Shape` counts them."""
    e = subnet.width
    total = e * (3 * PATCH**2 + 1) + e * (TOKENS + 1) + 2 * e + CLASSES * (e + 1)
    for block in subnet.blocks:
        if block is not None:
            inner = block.heads * HEAD
            total += 3 * inner * (e + 1) + e * (inner + 1) + 4 * e
            total += block.units * (e + 1) + e * (block.units + 1)
    return total


def main() -> None:
    """Print a line a network of Quasar-ViT's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subnets", type=int, default=64)
    parser.add_argument("--clock", type=float, default=150.0, help="MHz")
    parser.add_argument("--budget", default="lut=0.65,dsp=0.69,bram=0.44", help="of the ZCU102")
    options = parser.parse_args()
    names = ("of", "M params", "published", "G products", "rows at 8 bits", "images/s", "published", "subnet")
    table = Table(*names, title=f"{options.budget}, {options.clock:g} MHz, activations of {BITS} bits")
    for preset in ("quasar-small", "quasar-large"):
        space, sizes = space_of(preset), Sizes(space_of(preset), options.budget)

        def scored(subnets: Sequence[Subnet], sizes: Sizes = sizes) -> list[Score | None]:
            return [sizes.score(subnet) for subnet in subnets]

        search = Search(
            space,
            scored,
            seed=0,
            population=16,
            count=options.subnets,
            step=lambda search: err.print(f"{len(search.scores)} scored", highlight=False),
        )
        search.run("nsga2")
        front = search.front
        for name, (kind, millions, products, rate) in QUASAR.items():
            if preset != f"quasar-{kind}":
                continue
            subnet, score = min(front, key=lambda found: abs(parameters(found[0]) / 1e6 - millions))
            wide = list(sizes.bits(subnet).values())
            share = sum(int((bits == rows.WIDE).sum()) for bits in wide) / sum(map(len, wide))
            table.add_row(
                name,
                f"{parameters(subnet) / 1e6:.1f}",
                f"{millions:g}",
                f"{score.products / 1e9:.2f} ({products:g})",
                f"{100 * share:.0f} %",
                f"{options.clock * 1e6 / score.cycles:.1f}",
                f"{rate:g}",
                str(subnet),
            )
    print_wide(table)


if __name__ == "__main__":
    main()
