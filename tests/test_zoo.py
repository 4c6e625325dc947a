"""Transformers of many kinds, at their smallest and with random weights: found, folded, re-aligned."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from noise_images import NoiseImages
from torch import nn

from hwnorm.network.evaluate import evaluate
from hwnorm.network.norms import NormSite, find_norms, norm_affine
from hwnorm.network.replacement import replace_norms
from hwnorm.realign.closed_form import realign
from hwnorm.timm_compat import import_timm

SMALL: dict[str, Any] = {"img_size": 32, "depth": 2, "embed_dim": 48, "num_heads": 2}
STAGES: dict[str, Any] = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}

#: Name, arguments, and some of its norms with what reads them, their kind and axis.
ZOO: list[tuple[str, dict[str, Any], dict[str, tuple[tuple[str, ...], str, int]]]] = [
    (
        "vit_tiny_patch16_224",
        SMALL | {"qk_norm": True},
        {
            "blocks.0.norm1": (("blocks.0.attn.qkv",), "layernorm", -1),
            "blocks.0.attn.q_norm": ((), "layernorm", -1),
            "norm": (("head",), "layernorm", -1),
        },
    ),
    ("deit3_small_patch16_224", SMALL | {"init_values": 0.1}, {"norm": (("head",), "layernorm", -1)}),
    (
        "swin_tiny_patch4_window7_224",
        {"img_size": 56, "embed_dim": 24, "depths": (2, 2), "num_heads": (1, 2)},
        {
            "patch_embed.norm": ((), "layernorm", -1),
            "layers.0.blocks.1.norm1": (("layers.0.blocks.1.attn.qkv",), "layernorm", -1),
            "layers.1.downsample.norm": (("layers.1.downsample.reduction",), "layernorm", -1),
            "norm": (("head.fc",), "layernorm", -1),
        },
    ),
    (
        "convnext_atto",
        STAGES,
        {
            "stem.1": ((), "layernorm", 1),
            "stages.0.blocks.0.norm": (("stages.0.blocks.0.mlp.fc1",), "layernorm", 1),
            "stages.1.downsample.0": (("stages.1.downsample.1",), "layernorm", 1),
            "head.norm": (("head.fc",), "layernorm", 1),
        },
    ),
    (
        "convnext_atto_rms",
        STAGES,
        {"stages.0.blocks.0.norm": (("stages.0.blocks.0.mlp.fc1",), "rmsnorm", 1)},
    ),
    (
        "cait_xxs24_224",
        SMALL | {"init_values": 0.1},
        {
            "blocks_token_only.0.norm1": (
                tuple(f"blocks_token_only.0.attn.{part}" for part in "qkv"),
                "layernorm",
                -1,
            )
        },
    ),
    (
        "xcit_nano_12_p16_224",
        {"img_size": 32, "depth": 2, "eta": 0.1},
        {"blocks.0.norm3": ((), "layernorm", -1), "blocks.0.norm2": (("blocks.0.mlp.fc1",), "layernorm", -1)},
    ),
    (
        "eva02_tiny_patch14_224",
        SMALL | {"img_size": 28, "num_classes": 5},
        {"fc_norm": (("head",), "layernorm", -1)},
    ),
    (
        "swinv2_tiny_window8_256",
        {"img_size": 64, "embed_dim": 24, "depths": (2, 2), "num_heads": (1, 2)},
        {"layers.0.blocks.0.norm1": ((), "layernorm", -1), "norm": (("head.fc",), "layernorm", -1)},
    ),
]


class Normalize(nn.Module):
    """A site's own normalization, without its affine."""

    def __init__(self, site: NormSite) -> None:
        super().__init__()
        self.site = site

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.site.normalize(x)


class Saturating(nn.Module):
    """1.5 tanh(x / (1.5 spread)), which takes a token's scale for the layer's."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.5 * torch.tanh(x / (1.5 * self.spread))


@pytest.mark.parametrize(("name", "arguments", "expected"), ZOO, ids=[entry[0] for entry in ZOO])
def test_found_folded_and_realigned(name, arguments, expected):
    """Readers as listed; folding changes nothing; refitted on 64 images, 32 others come nearer."""
    torch.manual_seed(0)
    model = import_timm().create_model(name, **arguments).eval()
    sites = {site.name: site for site in find_norms(model)}
    for site in sites.values():
        for parameter in norm_affine(model.get_submodule(site.name)):
            if parameter is not None:
                parameter.data.add_(0.3 * torch.randn_like(parameter))
    for norm, (consumers, kind, axis) in expected.items():
        site = sites[norm]
        assert (site.consumers, site.kind, site.axis) == (consumers, kind, axis)
    assert {s.role for s in sites.values()} >= {"block", "final"}
    assert ("query-key" in {s.role for s in sites.values()}) == ("qk_norm" in arguments)

    fit, unseen = NoiseImages.of(model, 64, 0), NoiseImages.of(model, 32, 1)
    spreads: dict[str, float] = {}
    handles = [
        model.get_submodule(s.name).register_forward_pre_hook(
            lambda module, inputs, to=s.name: spreads.__setitem__(to, float(inputs[0].std()))
        )
        for s in sites.values()
    ]
    with torch.no_grad():
        output = model(unseen.pixels)
        for handle in handles:
            handle.remove()
        folded = replace_norms(model, {s.name: Normalize(s) for s in sites.values()})
        assert float((folded(unseen.pixels) - output).norm() / output.norm()) < 1e-5

    functions = {norm: Saturating(spread) for norm, spread in spreads.items()}
    student, fits = realign(model, functions, fit, batch=16)
    assert {refit.layer for refit in fits} >= {c for s in sites.values() for c in s.consumers}
    networks = {"before": replace_norms(model, functions), "after": student}
    scores = evaluate(networks, model, unseen, 0)
    assert 1 - scores["after"].cosine_centred < 0.85 * (1 - scores["before"].cosine_centred)
