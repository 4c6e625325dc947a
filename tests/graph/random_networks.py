"""Networks of timm in which no parameter is as it was initialized, and how far two results are apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.data.config import input_config
from hwnorm.timm_compat import import_timm

#: What shrinks any of timm's vision transformers. The scale of q k^T is no power of two, so that it rounds.
TINY: dict[str, Any] = {"embed_dim": 48, "num_heads": 2, "depth": 2, "num_classes": 7}


@torch.no_grad()
def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in evaluation mode, every parameter drawn anew.

    timm begins with biases of zero, gammas of one, class tokens and LayerScale of almost zero: what is
    left out, or folded into the wrong place, would not show.
    """
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=draw)
        if parameter.ndim in (2, 4):  # linear layers and convolutions
            noise *= 1.5 / parameter[0].numel() ** 0.5
        elif "norm" in name and name.endswith("weight"):
            noise = 1 + 0.5 * noise
        parameter.copy_(noise)
    return model.eval()


def network(name: str, **changes: Any) -> nn.Module:
    """One of timm's models by its name, randomized; no weights are fetched."""
    return randomized(import_timm().create_model(name, pretrained=False, **changes))


def small(**changes: Any) -> nn.Module:
    """A vision transformer of two blocks and four patches, randomized."""
    import_timm()
    from timm.models import VisionTransformer

    torch.manual_seed(0)
    return randomized(VisionTransformer(**({"img_size": 16, "patch_size": 8} | TINY | changes)))


def images(model: nn.Module, count: int = 3, seed: int = 1) -> Tensor:
    """Noise in the model's input size, not that on which a graph is checked, of the parameters' type."""
    noise = torch.randn(
        count, *input_config(model)["input_size"], generator=torch.Generator().manual_seed(seed)
    )
    return noise.to(next(model.parameters()).dtype)


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())
