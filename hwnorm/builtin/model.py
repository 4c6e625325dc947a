"""Architecture and weights of the built-in vision transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from hwnorm.timm_compat import import_timm

NAME = "builtin"
WEIGHTS = Path(__file__).with_name("vit_fashion.fp16.safetensors")
IMAGES = Path(__file__).with_name("fashion_subset.npz")
#: Folder of a trained supernet (:mod:`hwnorm.supernet.stored`).
SUPERNET = Path(__file__).with_name("supernet")

#: Keyword arguments of timm's ``VisionTransformer``; the last norm acts on tokens, before pooling,
#: so all 13 norms of the network are streaming norms.
ARCHITECTURE: dict[str, Any] = {
    "img_size": 28,
    "patch_size": 4,
    "in_chans": 1,
    "num_classes": 10,
    "embed_dim": 96,
    "depth": 6,
    "num_heads": 3,
    "mlp_ratio": 3.0,
    "class_token": False,
    "global_pool": "avg",
    "fc_norm": False,
}

#: Mean and standard deviation of the 60,000 training images, pixels scaled to 0..1.
PIXEL_MEAN = 0.2860
PIXEL_STD = 0.3530


def build() -> nn.Module:
    """Return the built-in network with fresh random weights (0.57 M parameters, 13 LayerNorms)."""
    import_timm()
    from timm.models import VisionTransformer

    model: nn.Module = VisionTransformer(**ARCHITECTURE)
    return model
