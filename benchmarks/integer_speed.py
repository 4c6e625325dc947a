"""Images a second of an integer network: by its definition in NumPy, and by the C++ program.

The built-in model, with a few functions in the places of its norms, or those of a run's choice; what it says
of an image does not matter here. CPU milliseconds are those of all threads: what else the machine does
shows less in them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwnorm.builtin import model as builtin
from hwnorm.data.config import input_config
from hwnorm.data.images import load_images
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.graph.read import read_graph
from hwnorm.integers.cpp import CppNetwork
from hwnorm.integers.network import IntegerNetwork, Pixels
from hwnorm.integers.operations import Codes
from hwnorm.integers.quantize import Recipe, Source, quantize
from hwnorm.lowering.lower import lower
from hwnorm.network.choice import read_choice
from hwnorm.network.models import load_model
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import Choice, functions_of, replace_norms
from hwnorm.targets.target import load_target

FUNCTIONS = ("2.58*tanh(x) + 0.24", "3.9375*clip(x, 0.375)")
#: Images that formats and weights are found on.
SOME = 64


def integers(name: str, run: Path | None, clock_mhz: float) -> IntegerNetwork:
    """The model in integers."""
    model, target = load_model(name, None), load_target("xcup")
    input, output = FixedFormat(16, 12), FixedFormat(8, 5)
    lowered = [lower(parse(text), input, output, target, clock_mhz) for text in FUNCTIONS]
    sites = find_norms(model)
    choice: Choice = {site.name: lowered[i % len(lowered)] for i, site in enumerate(sites)}
    datapaths = dict(choice)
    if run:
        choice = read_choice(run / "choice.json")
        datapaths = {chosen.layer: chosen.datapath for chosen in choice if chosen.datapath}
    config = input_config(model)
    images, _ = next(load_images(None, "train", model).batches(SOME))
    source = Source(
        read_graph(replace_norms(model, functions_of(choice, False))),
        read_graph(model),
        datapaths,
        {},
        lambda output: [torch.randn(output.shape, generator=torch.Generator().manual_seed(0))],
        square,
    )
    pixels = Pixels(tuple(config["mean"]), tuple(config["std"]))
    return quantize(source, pixels, images, Recipe(), target, clock_mhz, looked_at=SOME).network


def square(moves: Tensor) -> Tensor:
    """A loss that is as good as any where speed is measured."""
    return moves.square().mean(1)


def measured(name: str, work: Callable[[], Codes], count: int) -> Codes:
    """Print what a computation takes; return what it finds."""
    before = os.times()
    start = time.perf_counter()
    found = work()
    wall = time.perf_counter() - start
    now = os.times()
    cpu = sum(now[:4]) - sum(before[:4])
    each = f"{count / wall:7.0f} images/s {1e3 * cpu / count:7.2f} ms CPU an image"
    print(f"{name:18} {count:6} images {wall:7.1f} s {each}")
    return found


def main() -> None:
    """Print a line an evaluation, and whether they agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=builtin.NAME)
    parser.add_argument("--run", type=Path, help="run folder with a choice for this model")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--numpy", type=int, default=1000, help="images that NumPy evaluates")
    parser.add_argument("--clock", type=float, default=250.0)
    args = parser.parse_args()
    network = integers(args.model, args.run, args.clock)
    test = load_images(None, "test", load_model(args.model, None))
    pixels = torch.cat([part for part, _ in test.limited(args.images).batches(100)]).numpy()
    pixels = pixels[np.arange(args.images) % len(pixels)]
    program = CppNetwork(network)
    cores = os.cpu_count() or 1
    found = {jobs: program.evaluate(pixels[:1], jobs) for jobs in {1, cores}}
    for jobs in sorted(found):
        found[jobs] = measured(
            f"C++, {jobs} thread{'s'[: jobs > 1]}",
            lambda jobs=jobs: program.evaluate(pixels, jobs),
            len(pixels),
        )
    some = pixels[: args.numpy]
    wanted = measured(f"NumPy, {cores} threads", lambda: network.evaluate(some), len(some))
    same = all((codes[: len(some)] == wanted).all() for codes in found.values())
    print("the same codes" if same else "THE CODES DIFFER")


if __name__ == "__main__":
    main()
