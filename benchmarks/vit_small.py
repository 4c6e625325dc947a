"""A ViT-S whose output is features: what a linear probe makes of them, and how near they are."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.progress import track

MODEL = "vit_small_patch14_dinov2"
#: Strengths of the probe's ridge, one of which is chosen on a fifth of its images.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)


def options(description: str) -> argparse.ArgumentParser:
    """What every benchmark of this network is told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--weights", type=Path, required=True, help=".safetensors of the ViT-S")
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--probe-images", type=int, default=4000, help="training images of the probe")
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--run", type=Path, help="run folder of this model, for its functions")
    return parser


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


def cosines(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """Mean cosine of features to those that are wanted; the same less the mean of these."""
    mean = wanted.mean(0)
    pairs = (found, wanted), (found - mean, wanted - mean)
    plain, centred = (float(torch.cosine_similarity(a, b).mean()) for a, b in pairs)
    return plain, centred
