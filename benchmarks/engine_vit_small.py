"""A ViT-S through an engine's Verilog: whole images, every logit and cycle, seconds of each step.

.venv/bin/python benchmarks/engine_vit_small.py --weights FILE --data DIR [--activation-bits 8]

The network has a control's functions at its norms, re-aligned in closed form, and a linear head that is
fitted to the labels of the same training images; what it says of an image does not matter here.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import torch
from controls import CONTROLS
from rich.table import Table
from torch import nn
from vit_small import MODEL, features, options
from vit_small_integers import controlled

from hwnorm.data.config import input_config
from hwnorm.data.images import load_images
from hwnorm.engine.devices import budget_of
from hwnorm.engine.simulate import Simulator, compare
from hwnorm.engine.space import front
from hwnorm.progress import err, out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import make_settings
from hwnorm.stages.quantize import make

#: Strength of the head's ridge, times the images.
STRENGTH = 0.1


def head(inputs: Inputs) -> nn.Linear:
    """Classes from features, in closed form."""
    x, labels = features(inputs.model, inputs.training_images, "features")
    mean = x.mean(0)
    wanted = torch.eye(10)[labels] - 0.1
    gram = (x - mean).T @ (x - mean) + STRENGTH * len(x) * x.var(0).mean() * torch.eye(x.shape[1])
    found = nn.Linear(x.shape[1], 10)
    weight = torch.linalg.solve(gram, (x - mean).T @ wanted).T
    found.load_state_dict({"weight": weight, "bias": 0.1 - weight @ mean})
    return found


def main() -> None:
    """Print a table; exit status 1 unless all is equal."""
    parser = options((__doc__ or "").splitlines()[0])
    parser.set_defaults(image_size=224, test_images=1)
    parser.add_argument("--images", type=int, default=128, help="training images that it is fitted to")
    parser.add_argument("--control", choices=CONTROLS, default="clip-affine")
    parser.add_argument("--ratio8", type=float, default=0.25)
    parser.add_argument("--activation-bits", type=int, default=8)
    parser.add_argument("--budget", default="dsp=252")
    args = parser.parse_args()
    settings = make_settings(
        model=MODEL, weights=args.weights, data=args.data, images=args.images, image_size=args.image_size,
        ratio8=args.ratio8, activation_bits=args.activation_bits,
    )  # fmt: skip
    run = RunFolder(Path(), settings)  # nothing is written
    inputs = Inputs(run.settings)
    marks = [("", time.perf_counter())]

    def mark(name: str) -> None:
        marks.append((name, time.perf_counter()))
        err.print(f"{name}: {marks[-1][1] - marks[-2][1]:.0f} s", highlight=False)

    inputs.model.head = head(inputs)
    network = make(run, inputs, controlled(inputs, settings, args.control)).network
    mark("functions and integers")
    size = tuple(input_config(inputs.model)["input_size"])
    most = budget_of(args.budget, "xcup")
    picked = front(network, size, most, "xcup", args.activation_bits)[-1]
    mark("search")
    simulator = Simulator(picked.program)
    mark("build")
    tests = load_images(args.data, "test", inputs.model).limited(args.test_images)
    images = torch.cat([pixels for pixels, _ in tests.batches(8)]).numpy()
    found = simulator.run(images)
    mark("images")
    equal = compare(picked.program, images, found)
    engine = picked.engine
    products = sum(picked.program.products)
    table = Table("", "", title=f"ViT-S at {args.image_size} pixels, A{args.activation_bits}")
    for name, figure in (
        ("engine", f"{engine}"),
        ("DSPs", f"{picked.dsps}"),
        ("products an image", f"{products:,}"),
        ("cycles predicted", f"{equal.timings[0].cycles:,}"),
        ("cycles counted", f"{found[0].cycles:,}"),
        ("images: logits equal, cycles equal", f"{len(images)}: {equal.logits}, {equal.cycles}"),
        ("utilisation", f"{100 * picked.utilisation:.1f} %"),
        ("products a DSP and cycle", f"{products * engine.dsp_share / picked.cycles / picked.dsps:.2f}"),
        *((name, f"{at - before:.0f} s") for (_, before), (name, at) in pairwise(marks)),
    ):
        table.add_row(name, figure)
    out.print(table)
    raise SystemExit(not equal.logits == equal.cycles == len(images))


if __name__ == "__main__":
    main()
