"""Which rows get 8 bits, and how codes are rounded: ours beside random rows, nearest codes and GPTQ alone.

.venv/bin/python benchmarks/integer_rows.py --data DIR [--run runs/demo] [--seeds 5]

A quarter of the weights has 8 bits in each line. What is told is the divergence from the bit-true network
before, on the same test images: its mean, with the 95 % interval of that, and top-1.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn

from hwnorm.data.images import load_images
from hwnorm.integers import quantize, rows
from hwnorm.integers.cpp import evaluate_cpp
from hwnorm.network.paired import Z95
from hwnorm.progress import err, out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.quantize import make, networks

RATIO = 0.25


@contextmanager
def random_rows(seed: int) -> Iterator[None]:
    """Rows drawn over the whole network until the bits are spent."""

    def choose(builder: quantize._Builder, images: Tensor) -> None:
        linears = builder.graph.linears
        draw = np.random.default_rng(seed)
        left = RATIO * sum(op.weight.numel() for op in linears)
        for op in linears:
            builder.bits[op.out] = np.full(len(op.weight), rows.NARROW, dtype=np.uint8)
        every = [(op, row) for op in linears for row in range(len(op.weight))]
        for i in draw.permutation(len(every)):
            op, row = every[i]
            if left >= op.weight.shape[1]:
                left -= op.weight.shape[1]
                builder.bits[op.out][row] = rows.WIDE

    with patch.object(quantize._Builder, "choose_rows", choose):
        yield


@contextmanager
def nearest_codes() -> Iterator[None]:
    """Each weight by itself."""
    with patch.object(
        rows,
        "rounded",
        lambda w, gram, scale, bits, damping: rows.nearest(w, scale, rows.largest_code(bits)),
    ):
        yield


@contextmanager
def gptq_alone() -> Iterator[None]:
    """No second look at a code."""
    with patch.object(rows, "SWEEPS", 0):
        yield


@contextmanager
def ours() -> Iterator[None]:
    """As it is."""
    yield


@torch.no_grad()
def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Of all images: float64 (n, classes)."""
    return torch.cat([network(part).double() for part in torch.split(images, 200)])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="finished run folder")
    parser.add_argument("--seeds", type=int, default=5, help="draws of random rows")
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    run.settings = run.settings.model_copy(update={"ratio8": RATIO})
    inputs = Inputs(run.settings)
    parts = list(load_images(options.data, "test", inputs.model).batches(200))
    images, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    at = networks(run, inputs)
    wanted = logits(at.before, images).log_softmax(1)
    cases = [("ours", False, ours()), ("the same share of each layer", True, ours())]
    cases += [(f"random rows, seed {seed}", False, random_rows(seed)) for seed in range(options.seeds)]
    cases += [("nearest codes", False, nearest_codes()), ("GPTQ alone", False, gptq_alone())]
    table = Table("rows and rounding", "KL, nats", "95 %", "top-1", title=f"{len(images)} test images")
    for name, per_layer, changed in cases:
        run.settings = run.settings.model_copy(update={"per_layer": per_layer})
        with changed:
            found = make(run, inputs, at).network
        got = torch.from_numpy(found.output.to_float(evaluate_cpp(found, images.numpy()))).log_softmax(1)
        each = (wanted.exp() * (wanted - got)).sum(1)
        half = Z95 * float(each.std()) / len(each) ** 0.5
        top1 = 100 * float((got.argmax(1) == labels).double().mean())
        table.add_row(name, f"{float(each.mean()):.5f}", f"+-{half:.5f}", f"{top1:.2f} %")
        err.print(name, f"{float(each.mean()):.5f}")
    out.print(table)


if __name__ == "__main__":
    main()
