"""What tokens weigh is what errors in them do to the network's output."""

from __future__ import annotations

import pytest
import torch

from hwnorm.norms import example_images
from hwnorm.sensitivity import token_weights

LAST = ("blocks.1.mlp.fc1", "blocks.1.mlp.fc2", "norm")
BEFORE = ("blocks.0.mlp.fc2", "blocks.1.norm1", "blocks.1.attn.qkv")


def test_only_the_class_token_counts_where_no_attention_follows(small_vit):
    """Behind the last attention the others weigh nothing, before it every token weighs something."""
    model = small_vit()
    weights = token_weights(model, example_images(model), (*LAST, *BEFORE))
    for name in LAST:
        assert weights[name][0] > 0
        assert not weights[name][1:].any()
    for name in BEFORE:
        assert (weights[name] > 0).all()
    assert all(float(w.mean()) == pytest.approx(1.0) for w in weights.values())


@torch.no_grad()
def test_weights_are_what_noise_in_a_token_does(small_vit):
    """Noise of the same size in one token after the other moves the output as the weights say."""
    model = small_vit()
    pixels, name = example_images(model), "blocks.0.mlp.fc2"
    found = token_weights(model, pixels, [name])[name]
    before, moved = model(pixels), torch.zeros(len(found))
    generator = torch.Generator().manual_seed(1)
    for token in range(len(found)):
        for _ in range(20):

            def noisy(module, inputs, output, token=token):
                output = output.clone()
                output[:, token] += 1e-2 * torch.randn(output[:, token].shape, generator=generator)
                return output

            handle = model.get_submodule(name).register_forward_hook(noisy)
            moved[token] += (model(pixels) - before).square().sum()
            handle.remove()
    relation = torch.corrcoef(torch.stack([found.log(), moved.log()]))[0, 1]
    assert relation > 0.8


def test_hooks_are_gone_and_modules_without_tokens_have_no_weights(small_vit):
    model = small_vit()
    names = ("patch_embed.proj", "head", "norm")
    assert set(token_weights(model, example_images(model), names)) == {"norm"}
    assert token_weights(model, example_images(model), names[:2]) == {}
    assert not any(module._forward_hooks for module in model.modules())
