"""Fine-tuning through integers: top-1 of a run's integer network before and after, beside LayerNorm in float.

.venv/bin/python benchmarks/integer_finetune.py --data DIR [--run runs/demo] [--epochs 3]

It trains on DIR's training images and measures on all of its test images, in C++. Differences are paired,
with their 95 % interval.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from rich.table import Table

from hwnorm.data.images import load_images
from hwnorm.integers.cpp import evaluate_cpp
from hwnorm.integers.trainable import TrainableNetwork
from hwnorm.network.paired import PairedAccuracy
from hwnorm.progress import out
from hwnorm.realign.finetune import Recipe, finetune
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.quantize import integer_network


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder with integers")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    network, model = integer_network(run), Inputs(run.settings).model
    training, tests = (load_images(options.data, which, model) for which in ("train", "test"))
    student = TrainableNetwork(network)
    began = time.perf_counter()
    history = finetune(student, model, {}, training, Recipe("D", options.epochs))
    seconds = time.perf_counter() - began
    images, labels = (torch.cat(part) for part in zip(*tests.batches(200), strict=True))
    with torch.no_grad():
        original = torch.cat([model(part) for part in images.split(200)]).argmax(1) == labels
    table = Table("network", "top-1", "to LayerNorm in float, 95 %")
    table.add_row("LayerNorm in float", f"{100 * original.double().mean():.2f} %", "")
    for name, made in (("integers, closed form", network), ("fine-tuned", student.to_integers())):
        right = torch.tensor(evaluate_cpp(made, images.numpy())).argmax(1) == labels
        paired = PairedAccuracy.of(right, original)
        low, high = paired.interval
        difference = f"{paired.difference:+.2f} ({low:+.2f} to {high:+.2f})"
        table.add_row(name, f"{100 * right.double().mean():.2f} %", difference)
    out.print(table)
    out.print(f"{len(history) - 1} epochs on {len(training)} images in {seconds:.0f} s")


if __name__ == "__main__":
    main()
