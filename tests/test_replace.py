"""Folding gamma and beta is exact; a norm that cannot be folded is refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.errors import InputError
from hwnorm.norms import find_norms
from hwnorm.replace import replace_norms


def plain_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Each norm's own normalization, without its affine."""
    return {
        site.name: nn.LayerNorm(site.channels, eps=site.eps, elementwise_affine=False)
        for site in find_norms(model)
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"global_pool": "token"},
        {"global_pool": "avg", "class_token": False, "fc_norm": False},
        {"global_pool": "avg", "fc_norm": False, "init_values": 0.1},
        {"qkv_bias": False},
    ],
    ids=["class token", "mean of tokens", "LayerScale", "linear without bias"],
)
def test_folding_alone_changes_nothing(small_vit, changes):
    model = small_vit(**changes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = replace_norms(model, plain_norms(model))
    x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        want, got = model(x), folded(x)
    assert float((got - want).norm() / want.norm()) < 1e-5
    assert not any(isinstance(m, nn.LayerNorm) and m.elementwise_affine for m in folded.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_only_the_named_norms_are_replaced(small_vit):
    model = small_vit()
    folded = replace_norms(model, {"blocks.1.norm2": nn.Tanh()})
    assert isinstance(folded.blocks[1].norm2, nn.Tanh)
    assert torch.equal(folded.blocks[0].norm1.weight, model.blocks[0].norm1.weight)
    assert torch.equal(folded.blocks[0].attn.qkv.weight, model.blocks[0].attn.qkv.weight)


def test_a_norm_without_linear_reader_is_refused_by_name(small_vit):
    with pytest.raises(InputError, match="layer 'norm': its output is not read by linear layers alone"):
        replace_norms(small_vit(num_classes=0), {"norm": nn.Tanh()})


def test_an_unknown_name_is_refused(small_vit):
    with pytest.raises(InputError, match=r"layer 'norm3': no norm .*blocks\.0\.norm1, "):
        replace_norms(small_vit(), {"norm3": nn.Tanh()})
