"""Engines for networks of published accelerators' sizes: predicted images a second beside what was published.

.venv/bin/python benchmarks/engine_devices.py [--clock 150] [--budget lut=0.65,dsp=0.69,bram=0.44]
    [--activation-bits 6 8] [--ratio8 0.25 0]

Networks have the sizes of Quasar-ViT's three and of DeiT's (:mod:`shapes`): of Quasar-ViT's space those
that come nearest to its parameters and products. Of its space are also the shares of rows with 8 bits: 0,
a quarter, half; the rest has 4. An image's
cycles are those of the verified model; nothing was placed and routed, so the clock is an assumption. What
was published has its own clock, bits and share of the device. A second table has what Quasar-ViT's own
formulas say of its networks (:mod:`quasar`).
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from dataclasses import replace

from quasar import errors, worst
from rich.table import Table
from shapes import HEAD, IMAGE, Shape

from hwnorm.engine.devices import budget_of
from hwnorm.engine.space import front
from hwnorm.engine.work import Product, products_of
from hwnorm.errors import InputError
from hwnorm.progress import err, out

#: Of Quasar-ViT (arXiv 2407.18175): embedding channels, channels of all heads, MLP ratios, blocks; and by
#: name which of both spaces, million parameters, billion products, images a second (ZCU102, 150 MHz).
SPACES = {
    "small": ((192, 216, 240), (192, 256), (3.5, 4.0), (12, 13, 14)),
    "large": ((320, 384, 448), (320, 384, 448), (3.0, 3.5, 4.0), (12, 13, 14)),
}
QUASAR = {
    "Quasar-ViT-S": ("small", 5.9, 1.4, 251.6),
    "Quasar-ViT-L1": ("large", 14.7, 3.2, 159.6),
    "Quasar-ViT-L2": ("large", 22.6, 4.8, 101.5),
}
#: DeiT (arXiv 2012.12877), with images a second of HG-PIPE (arXiv 2407.17879; 4 bits, 375 MHz, ZCU102) and of
#: Auto-ViT-Acc (arXiv 2208.05163; ZCU102, 150 MHz) where they are known to us.
DEIT = {
    "DeiT-T": (Shape(192, 3, 768, 12), "HG-PIPE 1,579"),
    "DeiT-S": (Shape(384, 6, 1536, 12), ""),
    "DeiT-B": (Shape(768, 12, 3072, 12), "Auto-ViT-Acc 56.8"),
}

#: How near formulas should be to what was published.
NEAR = 0.15


def nearest(space: str, parameters: float, products: float) -> Shape:
    """The network of the space whose parameters and products, in millions and billions, come nearest."""
    found = [
        Shape(embed, inner // HEAD, int(embed * ratio), depth)
        for embed, inner, ratio, depth in itertools.product(*SPACES[space])
    ]
    return min(
        found,
        key=lambda s: max(abs(s.parameters / 1e6 / parameters - 1), abs(s.products / 1e9 / products - 1)),
    )


def layers(shape: Shape) -> list[Product]:
    """A network's products, whatever their bits are; those that are alike together."""
    alike = Counter(replace(each, name="") for each in products_of(shape.network(0.0, 8), IMAGE))
    return [replace(each, count=each.count * times) for each, times in alike.items()]


def formulas() -> Table:
    """What Quasar-ViT's formulas say of its networks, by a design that is chosen by all or by two of them."""
    given = {
        name: (layers(nearest(space, parameters, products)), rate)
        for name, (space, parameters, products, rate) in QUASAR.items()
    }
    found = errors(given)
    names = [*given]
    best = min(found, key=lambda design: worst(found[design], names))
    near = sum(worst(each, names) <= NEAR for each in found.values())
    table = Table(
        *("network", "published", "one design for all", "one chosen by the other two"),
        title=f"Quasar-ViT's own formulas, images/s. For all: {best}. "
        f"{near} of {len(found)} designs are within {100 * NEAR:g} % of all three",
    )
    for name, (own, rate) in given.items():
        others = [other for other in names if other != name]
        chosen = min(found, key=lambda design: worst(found[design], others))
        told = [f"{d.rate(own):.1f} ({100 * found[d][name]:+.1f} %)" for d in (best, chosen)]
        table.add_row(name, f"{rate:g}", *told)
    return table


def main() -> None:
    """Print a line a network and bits of activations."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clock", type=float, default=150.0, help="MHz")
    parser.add_argument("--budget", default="lut=0.65,dsp=0.69,bram=0.44", help="of the ZCU102")
    parser.add_argument("--activation-bits", type=int, nargs="*", default=[6, 8])
    parser.add_argument("--ratio8", type=float, nargs="*", default=[0.25, 0.0])
    parser.add_argument("--networks", nargs="*", default=[*QUASAR, *DEIT], choices=[*QUASAR, *DEIT])
    args = parser.parse_args()
    most = budget_of(args.budget, "xcup")
    wanted = {
        name: (nearest(space, parameters, products), f"{rate:g}")
        for name, (space, parameters, products, rate) in QUASAR.items()
    }
    names = (
        "network",
        "embed, heads, MLP, blocks",
        "M params",
        "G products",
        "A",
        "rows at 8 bits",
        "array",
        "LUT, DSP, BRAM",
        "cycles",
        "products a DSP and cycle",
        f"images/s at {args.clock:g} MHz",
        "published",
    )
    table = Table(*names, title=f"At most {most.told()} of the ZCU102")
    shapes = wanted | DEIT
    for name in args.networks:
        shape, published = shapes[name]
        for bits, ratio8 in itertools.product(args.activation_bits, args.ratio8):
            try:
                picked = front(shape.network(ratio8, bits), IMAGE, most, "xcup", bits)[-1]
            except InputError as reason:
                err.print(f"{name}, A{bits}, {100 * ratio8:g} % at 8 bits: {reason}", highlight=False)
                continue
            engine, takes = picked.engine, picked.resources
            assert takes is not None
            row = (
                name,
                f"{shape.embed}, {shape.heads}, {shape.hidden}, {shape.depth}",
                f"{shape.parameters / 1e6:.1f}",
                f"{shape.products / 1e9:.2f}",
                f"{bits}",
                f"{100 * ratio8:g} %",
                f"{engine}",
                f"{takes.lut:,}, {takes.dsp:,}, {takes.bram}",
                f"{picked.cycles:,}",
                f"{sum(picked.program.products) * engine.dsp_share / picked.cycles / picked.dsps:.2f}",
                f"{args.clock * 1e6 / picked.cycles:.1f}",
                published,
            )
            table.add_row(*row)
            err.print("  ".join(row), highlight=False)
    out.print(table)
    if not QUASAR.keys().isdisjoint(args.networks):
        out.print(formulas())


if __name__ == "__main__":
    main()
