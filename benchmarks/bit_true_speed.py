"""What the networks of a re-alignment cost beside the original: ratios of CPU time, on the same images.

Each figure is the median of interleaved pairs: a pair shares what else the machine does at the time. With
``--run`` the functions are those of a run folder's choice, else the same few for all layers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hwnorm.builtin import model as builtin
from hwnorm.data.images import load_images
from hwnorm.datapath.ir import Datapath
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.network.choice import read_choice
from hwnorm.network.models import load_model
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import Choice, functions_of, replace_norms, with_functions
from hwnorm.targets.target import load_target

#: One of each kind, layer by layer in turn; a table as the search finds them is the most frequent one.
_TABLE = ", ".join(f"{v:.5g}" for v in 2.25 * np.tanh(np.linspace(-2, 2, 64)))
EXPRESSIONS = (
    f"rom(x, -4, 4, {_TABLE})",
    "3.9375*clip(x, 0.375)",
    f"0.5625*rom(2*x, -4, 4, {_TABLE})",
    "2.58*tanh(x) + 0.24",
    "pwl(x, -3, -2, -0.75, -1, 0.5, 0.75, 4, 2.5)",
)


def samples(model: nn.Module) -> dict[str, Datapath]:
    """A kernel for each norm."""
    target = load_target("xcup")
    kernels = [
        lower(parse(text), FixedFormat(16, 12), FixedFormat(8, 5), target, 250.0) for text in EXPRESSIONS
    ]
    return {site.name: kernels[i % len(kernels)] for i, site in enumerate(find_norms(model))}


@torch.no_grad()
def seconds(network: nn.Module, pixels: Tensor) -> float:
    """CPU time of one forward pass."""
    before = time.process_time()
    network(pixels)
    return time.process_time() - before


def main() -> None:
    """Print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=builtin.NAME)
    parser.add_argument("--run", type=Path, help="run folder with a choice for this model")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, None)
    choice: Choice = read_choice(args.run / "choice.json") if args.run else samples(model)
    functions, integers = (functions_of(choice, fixed) for fixed in (False, True))
    plain = replace_norms(model, functions)
    networks = {"functions": plain, "bit-true": with_functions(plain, integers)}
    pixels, _ = next(load_images(None, "train", model).batches(args.batch))
    for name, network in networks.items():
        seconds(model, pixels), seconds(network, pixels)
        pairs = [(seconds(model, pixels), seconds(network, pixels)) for _ in range(args.pairs)]
        low, middle, high = statistics.quantiles(other / own for own, other in pairs)
        own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{name}: {1e3 * other:.0f} ms of CPU for {args.batch} images, the original {1e3 * own:.0f} ms; "
            f"{middle:.2f} times ({low:.2f} to {high:.2f})"
        )


if __name__ == "__main__":
    main()
