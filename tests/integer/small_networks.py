"""Small networks to make integers of, and what is known of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from graph.random_networks import randomized
from torch import Tensor, nn

from hwnorm.data.config import input_config
from hwnorm.graph.read import read_graph
from hwnorm.integers.network import Pixels
from hwnorm.integers.quantize import Quantized, Recipe, Source, quantize
from hwnorm.network.sensitivity import refit_weights
from hwnorm.targets.target import load_target
from hwnorm.timm_compat import import_timm


def small(**changes: Any) -> nn.Module:
    """A vision transformer of 16 patches whose parameters are random."""
    import_timm()
    from timm.models import VisionTransformer

    given = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
    return randomized(VisionTransformer(**(given | changes)))


def images_for(model: nn.Module, count: int, seed: int = 0) -> Tensor:
    """Normalized images of random bytes, smoothed, so that patches are not all alike."""
    config = input_config(model)
    channels, height, width = config["input_size"]
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, channels, height, width, generator=draw).mul(255).round() / 255
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    return (pixels - mean) / std


def source_of(student: nn.Module, before: nn.Module | None = None) -> Source:
    """Directions are those of the classes' divergence, or of the squared error of features."""

    def directions(output: Tensor) -> list[Tensor]:
        noise = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
        if not student.num_classes:
            return [noise]
        p = output.softmax(1)
        return [p.sqrt() * noise - p * (p.sqrt() * noise).sum(1, keepdim=True)]

    def loss_of(moves: Tensor) -> Tensor:
        return ((1 + moves.square()).sqrt() - 1).mean(-1)

    return Source(read_graph(student), read_graph(before or student), {}, {}, directions, loss_of)


def integers_of(model: nn.Module, images: Tensor, weighed: bool = False, **recipe: Any) -> Quantized:
    """A network's integers, with all its norms; tokens weigh as in a run, or all alike."""
    config = input_config(model)
    pixels = Pixels(tuple(config["mean"]), tuple(config["std"]))
    source = source_of(model)
    if weighed:
        weights = refit_weights(model, images, {op.layer for op in source.graph.linears})
        source = replace(source, weights=weights)
    return quantize(source, pixels, images, Recipe(**recipe), load_target("xcup", ""), 250.0)
