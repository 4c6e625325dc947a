"""What tokens weigh is what errors in them do to the network's output."""

from __future__ import annotations

import pytest
import torch

from hwnorm.data.images import load_images
from hwnorm.network import sensitivity as module
from hwnorm.network.norms import example_images
from hwnorm.network.sensitivity import sensitivity, token_weights

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


@torch.no_grad()
def test_values_weigh_what_noise_in_them_does(small_vit):
    """In which images an error of a value moves the output, its weights say beforehand."""
    model, name, batch = small_vit(), "blocks.1.mlp.fc1", 60
    images = load_images(None, "train", model).limited(batch)
    found = sensitivity(model, images, batch, [name], [name])
    pixels = next(iter(images.batches(batch)))[0]
    weight = found.values[name][0].float()
    tokens, values = len(weight) // batch, weight.shape[1]
    weight = weight.view(batch, tokens, values)[:, 0]  # of the class token
    before, moved = model(pixels), torch.zeros(batch, values)
    for value in range(values):

        def noisy(module, inputs, output, value=value):
            output = output.clone()
            output[:, 0, value] += 1e-2
            return output

        handle = model.get_submodule(name).register_forward_hook(noisy)
        moved[:, value] = (model(pixels) - before).square().sum(1)
        handle.remove()
    # The gradient of one random sum of ten outputs tells roughly how far they move.
    relations = [
        torch.corrcoef(torch.stack([weight[:, v].log(), moved[:, v].log()]))[0, 1] for v in range(values)
    ]
    assert torch.stack(relations).mean() > 0.5


def test_weights_are_one_on_average_and_of_every_image(small_vit):
    model = small_vit()
    images = load_images(None, "train", model).limited(10)
    found = sensitivity(model, images, 4, [*LAST, *BEFORE, "head"], ["blocks.0.mlp.fc2"])
    tokens = len(found.tokens["norm"][0]) // 4
    assert "head" not in found.tokens  # its output has no tokens
    for weights in found.tokens.values():
        assert [len(w) for w in weights] == [4 * tokens, 4 * tokens, 2 * tokens]
        assert float(torch.cat(weights).mean()) == pytest.approx(1.0, abs=0.02)
    behind = found.tokens["blocks.1.mlp.fc2"][0].view(4, tokens)
    assert (behind[:, 1:] < behind[:, :1] / 50).all()  # what nothing reads
    (values,) = found.values.values()
    assert sorted(values) == [0, 1, 2]
    assert torch.cat(list(values.values())).float().mean(0) == pytest.approx(1.0, abs=0.02)


def test_no_more_values_are_kept_than_memory_is_meant_for(small_vit, monkeypatch):
    model, name = small_vit(), "blocks.0.mlp.fc1"
    images = load_images(None, "train", model).limited(10)
    whole = sensitivity(model, images, 2, [name], [name]).values[name]
    monkeypatch.setattr(module, "MOST_VALUES", 2 * whole[0].numel())
    assert sorted(sensitivity(model, images, 2, [name], [name]).values[name]) == [2]
    monkeypatch.setattr(module, "MOST_VALUES", 0)
    assert sensitivity(model, images, 2, [name], [name]).values == {}
