"""Closed-form re-alignment of a ViT-S with 25 norms: linear-probe top-1 and cosines, time and memory.

The features' linear probe is fitted anew for each network on the same training images, by ridge regression to
one-hot labels with its strength chosen on a part of them; it is measured on test images, as the cosines are.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import torch
from controls import CONTROLS
from rich.table import Table
from torch import Tensor, nn

from hwnorm.capture.hooks import capture
from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.network.choice import read_choice
from hwnorm.network.models import load_model
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import Choice, functions_of, replace_norms
from hwnorm.progress import out, track
from hwnorm.realign.closed_form import realign

MODEL = "vit_small_patch14_dinov2"
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)


@torch.no_grad()
def features(model: nn.Module, images: ImageSet, label: str) -> tuple[Tensor, Tensor]:
    """What the model makes of the images, and their labels."""
    steps = track(images.batches(50), label, -(-len(images) // 50))
    outputs, labels = zip(*((model(pixels), found) for pixels, found in steps), strict=True)
    return torch.cat(outputs), torch.cat(labels)


def probe(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Top-1 in per cent of a linear probe."""
    (x, labels), (at, truth) = train, test
    mean, deviation = x.mean(0), x.std(0) + 1e-6

    def rows(values: Tensor) -> Tensor:
        return torch.cat([(values - mean) / deviation, torch.ones(len(values), 1)], 1).double()

    def fit(inputs: Tensor, classes: Tensor, strength: float) -> Tensor:
        gram = inputs.T @ inputs + strength * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
        return torch.linalg.solve(gram, inputs.T @ torch.eye(10, dtype=torch.float64)[classes])

    def right(inputs: Tensor, classes: Tensor, weights: Tensor) -> float:
        return 100.0 * float(((inputs @ weights).argmax(1) == classes).double().mean())

    inner, cut = rows(x), int(0.8 * len(x))
    best = max(STRENGTHS, key=lambda s: right(inner[cut:], labels[cut:], fit(inner[:cut], labels[:cut], s)))
    return right(rows(at), truth, fit(inner, labels, best))


def main() -> None:
    """Print a table, a line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help=".safetensors of the ViT-S")
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--fit-images", type=int, default=512)
    parser.add_argument("--probe-images", type=int, default=4000)
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--run", type=Path, help="run folder of this model, for its functions")
    parser.add_argument(
        "--only", nargs="*", choices=CONTROLS, default=["clip-affine"], help="controls to try"
    )
    args = parser.parse_args()
    model = load_model(MODEL, args.weights, args.image_size)
    train, test = (load_images(args.data, split, model) for split in ("train", "test"))
    fit, probed = train.limited(args.fit_images), train.limited(args.probe_images)
    test = test.limited(args.test_images)
    profiles = capture(model, fit, find_norms(model), batch=32, progress="capture")
    choices: dict[str, Choice] = {
        name: {layer: CONTROLS[name](profile) for layer, profile in profiles.items()} for name in args.only
    }
    if args.run:
        choices["this run"] = read_choice(args.run / "choice.json")
    table = Table(
        title=f"ViT-S at {args.image_size} pixels, fitted to {len(fit)} images, on {len(test)} test images"
    )
    for heading in ("network", "probe top-1", "lost", "cosine", "centred", "seconds", "CPU s", "peak GB"):
        table.add_column(heading)
    wanted = features(model, test, "teacher")
    before = probe(features(model, probed, "teacher, probe"), wanted)
    table.add_row("LayerNorm", f"{before:.2f}")
    mean = wanted[0].mean(0)
    for name, choice in choices.items():
        functions = functions_of(choice, False)
        wall, cpu = time.perf_counter(), time.process_time()
        student, _ = realign(model, functions, fit, batch=32, progress=name)
        spent = f"{time.perf_counter() - wall:.0f}", f"{time.process_time() - cpu:.0f}"
        peak = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f}"
        for stage, network, extra in (
            ("nothing else", replace_norms(model, functions), ()),
            ("closed form", student, (*spent, peak)),
        ):
            found = features(network, test, f"{name}, {stage}")
            after = probe(features(network, probed, f"{name}, {stage}, probe"), found)
            cosine = float(torch.cosine_similarity(found[0], wanted[0]).mean())
            centred = float(torch.cosine_similarity(found[0] - mean, wanted[0] - mean).mean())
            table.add_row(
                f"{name}, {stage}",
                f"{after:.2f}",
                f"{before - after:+.2f}",
                f"{cosine:.4f}",
                f"{centred:.4f}",
                *extra,
            )
    out.print(table)


if __name__ == "__main__":
    main()
