"""Norms are found in the order of execution, with exactly the linear layers that read them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.errors import InputError
from hwnorm.norms import find_norms


@pytest.mark.parametrize(
    "pooling",
    [
        {"global_pool": "token", "class_token": True},
        {"global_pool": "avg", "class_token": True, "fc_norm": False},
        {"global_pool": "avg", "class_token": False, "fc_norm": False},
    ],
)
def test_vit_norms_and_their_readers(small_vit, pooling):
    sites = find_norms(small_vit(**pooling))
    assert [(site.name, site.consumers) for site in sites] == [
        ("blocks.0.norm1", ("blocks.0.attn.qkv",)),
        ("blocks.0.norm2", ("blocks.0.mlp.fc1",)),
        ("blocks.1.norm1", ("blocks.1.attn.qkv",)),
        ("blocks.1.norm2", ("blocks.1.mlp.fc1",)),
        ("norm", ("head",)),
    ]
    assert {site.channels for site in sites} == {32}


def test_a_final_norm_without_head_has_no_reader_to_fold_into(small_vit):
    assert find_norms(small_vit(num_classes=0, global_pool="token"))[-1].consumers == ()


class _Net(nn.Module):
    """One norm that two linear layers read, and with ``skip`` a residual connection too."""

    def __init__(self, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.stem = nn.Conv2d(1, 28, 1)
        self.norm = nn.LayerNorm(28)
        self.first, self.second = nn.Linear(28, 28), nn.Linear(28, 28, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.stem(x))
        out = self.first(y) * self.second(y)
        return out + y if self.skip else out


def test_all_linear_readers_count():
    model = _Net(skip=False)
    model.patch_embed = nn.Identity()
    model.patch_embed.img_size = (28, 28)
    assert find_norms(model)[0].consumers == ("first", "second")


def test_a_norm_that_something_else_reads_too_has_no_consumers():
    model = _Net(skip=True)
    model.patch_embed = nn.Identity()
    model.patch_embed.img_size = (28, 28)
    assert find_norms(model)[0].consumers == ()


def test_a_model_without_norms_is_refused():
    with pytest.raises(InputError, match="Sequential: has no LayerNorm"):
        find_norms(nn.Sequential(nn.Conv2d(3, 4, 3)))


def test_no_hook_stays(small_vit):
    model = small_vit()
    find_norms(model)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
