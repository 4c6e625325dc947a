"""What integers cost a run's network, without a gradient step: top-1 and divergence from before.

.venv/bin/python benchmarks/integer_accuracy.py --data DIR [--run runs/demo]

One line for each share of 8-bit rows and width of activations. Differences are of the same test images, with
their paired 95 % interval.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor, nn

from hwnorm.data.images import load_images
from hwnorm.integers.cpp import evaluate_cpp
from hwnorm.network.paired import PairedAccuracy
from hwnorm.progress import err, out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.quantize import make, networks

#: Share of 8-bit rows, whether each layer has the same, bits of activations.
CASES = ((1.0, False, 8), (0.25, False, 8), (0.25, True, 8), (0.0, False, 8), (0.25, False, 6))


@torch.no_grad()
def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Of all images: float64 (n, classes)."""
    return torch.cat([network(part).double() for part in torch.split(images, 200)])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="finished run folder")
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    inputs = Inputs(run.settings)
    parts = list(load_images(options.data, "test", inputs.model).batches(200))
    images, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    at = networks(run, inputs)
    wanted = logits(at.before, images)
    right = wanted.argmax(1) == labels
    original = logits(inputs.model, images).argmax(1) == labels
    out.print(
        f"{len(images)} test images; the original {100 * original.double().mean():.2f} %, "
        f"bit-true functions {100 * right.double().mean():.2f} %"
    )
    table = Table("8-bit rows", "in each layer", "activations", "top-1", "difference, 95 %", "KL", "seconds")
    for ratio8, per_layer, bits in CASES:
        changed = {"ratio8": ratio8, "per_layer": per_layer, "activation_bits": bits}
        run.settings = run.settings.model_copy(update=changed)
        began = time.perf_counter()
        found = make(run, inputs, at)
        seconds = time.perf_counter() - began
        codes = evaluate_cpp(found.network, images.numpy())
        got = torch.from_numpy(found.network.output.to_float(codes))
        correct = got.argmax(1) == labels
        paired = PairedAccuracy.of(correct, right)
        low, high = paired.interval
        p, q = wanted.log_softmax(1), got.log_softmax(1)
        table.add_row(
            f"{ratio8:g}",
            "yes" if per_layer else "no",
            str(bits),
            f"{100 * correct.double().mean():.2f} %",
            f"{paired.difference:+.2f} ({low:+.2f} to {high:+.2f})",
            f"{float((p.exp() * (p - q)).sum(1).mean()):.4f}",
            f"{seconds:.0f}",
        )
        err.print(table.row_count, "of", len(CASES))
    out.print(table)


if __name__ == "__main__":
    main()
