"""A walk sees the same activations as whole forward passes, and leaves the model as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.data.images import load_images
from hwnorm.realign.walk import Walk, chained_blocks


@pytest.mark.parametrize("chained", [True, False])
def test_carried_activations_equal_whole_passes(small_vit, chained):
    model = small_vit(depth=3)
    if not chained:
        # The same blocks, but one nested: no chain under ``model.blocks`` any more.
        model.blocks = nn.ModuleDict({"all": model.blocks})
        model.blocks.forward = model.blocks["all"].forward
    images = load_images(None, "train", model).limited(25)
    assert (chained_blocks(model) is not None) == chained

    walk = Walk(model, images, batch=10)
    blocks = model.blocks if chained else model.blocks["all"]
    prefix = "blocks" if chained else "blocks.all"
    modules = list(model.modules())
    for i in range(3):
        if chained:
            walk.advance(i)
        seen = list(walk.passes([f"{prefix}.{i}.norm2"], [f"{prefix}.{i}.mlp.fc1"]))
        whole = []
        handle = blocks[i].mlp.fc1.register_forward_hook(lambda m, args, out, to=whole: to.append(out))
        with torch.no_grad():
            for pixels, _ in images.batches(10):
                model(pixels)
        handle.remove()
        for taps, out in zip(seen, whole, strict=True):
            assert torch.equal(taps[f"{prefix}.{i}.mlp.fc1"], out)
    assert list(model.modules()) == modules
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_an_error_inside_restores_the_blocks(small_vit):
    model = small_vit()
    walk = Walk(model, load_images(None, "train", model).limited(5), batch=5)
    walk.advance(1)
    modules = list(model.modules())
    passes = walk.passes([], ["head"])
    next(passes)
    passes.close()
    assert list(model.modules()) == modules
    assert not any(m._forward_hooks for m in model.modules())
