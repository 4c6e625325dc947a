"""Real tokens to try a LayerNorm on, and how far its results are from PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hwnorm.data.images import ImageSet
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.network.norms import find_norms


@torch.no_grad()
def norm_inputs(
    model: nn.Module, images: ImageSet, channels: int, count: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """What each norm of ``model`` reads: name, tokens (count, channels), gamma, beta (channels,), float64.

    Where ``channels`` is a multiple of the norm's, a token is so many of its tokens side by side, and gamma
    and beta are repeated. The values and their tails are those of the model.
    """
    sites = find_norms(model)
    (width,) = {site.channels for site in sites}
    if channels % width:
        raise ValueError(f"{channels} channels; a multiple of the model's {width} was expected")
    inputs: dict[str, np.ndarray] = {}

    def hook_for(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            inputs[name] = args[0].reshape(-1, width).double().numpy()

        return hook

    handles = [model.get_submodule(s.name).register_forward_pre_hook(hook_for(s.name)) for s in sites]
    try:
        pixels, _ = next(iter(images.batches(8)))
        model(pixels)
    finally:
        for handle in handles:
            handle.remove()
    together = channels // width
    for site in sites:
        norm: Any = model.get_submodule(site.name)
        found = inputs[site.name]
        tokens = found[: len(found) // together * together].reshape(-1, channels)
        gamma, beta = (np.tile(p.detach().double().numpy(), together) for p in (norm.weight, norm.bias))
        yield (
            site.name,
            tokens[np.linspace(0, len(tokens) - 1, min(count, len(tokens)), dtype=int)],
            gamma,
            beta,
        )


def torch_layer_norm(
    design: LayerNormDesign, x: np.ndarray, gamma: np.ndarray | None = None, beta: np.ndarray | None = None
) -> np.ndarray:
    """``torch.nn.functional.layer_norm`` of the values that the codes mean, in float64.

    Returns:
        values in ulp of the output, within its range; float64 of the shape of ``x``.
    """
    affine = {}
    if design.gamma is not None and design.beta is not None and gamma is not None and beta is not None:
        affine = {
            "weight": torch.from_numpy(design.gamma.to_float(gamma)),
            "bias": torch.from_numpy(design.beta.to_float(beta)),
        }
    values = torch.from_numpy(design.input.to_float(x))
    y = F.layer_norm(values, (design.channels,), eps=design.eps, **affine).numpy() / design.output.ulp
    return np.asarray(np.clip(y, design.output.min_code, design.output.max_code))


def within(errors: Sequence[np.ndarray], ulp: float) -> float:
    """The share of errors (in ulp) that are at most ``ulp``."""
    joined = np.concatenate([np.ravel(e) for e in errors])
    return float(np.mean(np.abs(joined) <= ulp))
