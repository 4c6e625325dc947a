"""What parts of training a supernet are worth: distillation, layer scaling, a ratio of 8-bit rows a layer.

.venv/bin/python benchmarks/nas_ablations.py SPACE.toml [--epochs 1] [--tried 200] [--work DIR]

The study's run of the whole network must be there (`hwnorm nas` or `hwnorm supernet train`). A supernet is
trained so many epochs with all parts, and without each. Uniform subnets of each are held against one another
on the test images: rows rounded, activations in real numbers. Then, on the supernet with all parts, ratios
of 8-bit rows by layer are drawn, and the one of least loss on held-out images within the cycles of .25 in
every layer is held against that.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from hwnorm.nas.scoring import Context, pixels_of
from hwnorm.nas.spacefile import read_space
from hwnorm.network.paired import PairedAccuracy
from hwnorm.progress import out
from hwnorm.realign.distributed import own_device
from hwnorm.supernet.fit import Fitting
from hwnorm.supernet.space import Gene, Subnet
from hwnorm.supernet.supernet import Supernet
from hwnorm.supernet.train import Recipe, train

#: The share of 8-bit rows that a fixed ratio has.
FIXED = 0.25
VARIANTS = {
    "all parts": {},
    "no distillation": {"distillation": False},
    "no layer scaling": {"layer_scaling": False},
}


def main() -> None:
    """Print a table of the parts of training, then one of ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--tried", type=int, default=200, help="ratios that are drawn for each architecture")
    parser.add_argument("--work", type=Path, default=Path("build/nas_ablations"))
    options = parser.parse_args()
    study = read_space(options.space)
    here = Context(study, None)
    options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Supernet] = {}
    for name, parts in VARIANTS.items():
        recipe = replace(Recipe(epochs=options.epochs, seed=study.file.search.seed), **parts)
        checkpoint = options.work / f"{name.replace(' ', '_')}.pt"
        held = pixels_of(here.split.held)
        found[name], _ = train(
            here.supernet, here.space, here.split.train, held, here.loss, recipe, checkpoint, own_device()
        )
        out.print(f"{name}: trained {options.epochs} epochs")
    tests = here.inputs.test_images
    pixels, labels = pixels_of(tests), torch.cat([some for _, some in tests.batches(1000)])
    fittings = {name: _fitting(here, net) for name, net in found.items()}
    for subnet in _uniform(here):
        right = {name: _right(each, subnet, pixels, labels) for name, each in fittings.items()}
        _tell(str(subnet), right, "all parts")
    _ratios(here, fittings["all parts"], options.tried, pixels, labels)


def _fitting(here: Context, supernet: Supernet) -> Fitting:
    return Fitting(supernet, pixels_of(here.split.fit), pixels_of(here.split.held), here.loss)


def _uniform(here: Context) -> list[Subnet]:
    """The ends of the space, and two between, with a quarter of the rows at 8 bits."""
    space = here.space
    middle = (len(space.depth) // 2, len(space.heads) // 2)
    genes = [
        Gene(space.heads[middle[1]], space.mlp[len(space.mlp) // 2], FIXED),
        Gene(space.heads[middle[1]], space.mlp[len(space.mlp) * 3 // 4], FIXED),
    ]
    between = [
        space.uniform(space.width[-1], space.depth[middle[0]], genes[0]),
        space.uniform(space.width[-1], space.depth[-1], genes[1]),
    ]
    return [space.smallest, *between, space.largest]


def _right(fitting: Fitting, subnet: Subnet, pixels: Tensor, labels: Tensor) -> Tensor:
    graph = fitting(subnet).graph
    output = torch.cat([graph(part) for part in torch.split(pixels, 250)])
    return output.argmax(1) == labels


def _tell(what: str, right: dict[str, Tensor], reference: str) -> None:
    out.print(what, highlight=False, soft_wrap=True)
    for name, found in right.items():
        line = f"  {name}: top-1 {100 * float(found.double().mean()):.2f} %"
        if name != reference:
            paired = PairedAccuracy.of(found, right[reference])
            low, high = paired.interval
            line += f", {paired.difference:+.2f} points ({low:+.2f} to {high:+.2f}) against {reference}"
        out.print(line, highlight=False, soft_wrap=True)


def _ratios(here: Context, fitting: Fitting, tried: int, pixels: Tensor, labels: Tensor) -> None:
    random = Random(0)
    for subnet in _uniform(here)[1:3]:
        most = here.cost(subnet).cycles
        best, least = subnet, fitting(subnet).loss.loss
        for _ in range(tried):
            blocks = tuple(
                None if block is None else replace(block, ratio8=random.choice(here.space.ratio8))
                for block in subnet.blocks
            )
            other = Subnet(subnet.width, blocks)
            if here.cost(other).cycles <= most and (loss := fitting(other).loss.loss) < least:
                best, least = other, loss
        right = {
            f"{FIXED:g} in every layer": _right(fitting, subnet, pixels, labels),
            str(best): _right(fitting, best, pixels, labels),
        }
        _tell(f"{subnet.width}, {subnet.depth} blocks, at most {most:,} cycles", right, next(iter(right)))


if __name__ == "__main__":
    main()
