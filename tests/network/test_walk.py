"""A walk sees the same activations as whole forward passes, and leaves the model as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.data.images import load_images
from hwnorm.network.walk import Walk, find_route


def modules_of(model: nn.Module) -> list[nn.Module]:
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in model.modules())
    return list(model.modules())


class _Shortcut(nn.Module):
    """A second path around a block of the model, so that the block is no cut."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor, **kwargs: object) -> torch.Tensor:
        return self.block(x, **kwargs) + x


def test_cuts_are_what_all_paths_pass(small_vit):
    model = small_vit(depth=3)
    model.blocks[1] = _Shortcut(model.blocks[1])
    names = [cut.name for cut in find_route(model).cuts]
    assert names == [
        *("patch_embed.proj", "patch_embed"),
        *("blocks.0", "blocks.1", "blocks.2", "blocks"),
        *("norm", "head"),
    ]


@pytest.mark.parametrize("constant", [True, False])
def test_carried_activations_equal_whole_passes(small_vit, constant):
    model = small_vit(depth=3)
    images = load_images(None, "train", model).limited(25)
    walk = Walk(model, images, 10, find_route(model), constant)
    modules = modules_of(model)
    for i in range(3):
        walk.advance([f"blocks.{i}.norm1"])
        if i:
            assert walk.route.cuts[walk.at - 1].name == f"blocks.{i - 1}"
            assert [len(carried) for carried in walk.carried] == [10, 10, 5]
        seen = list(walk.passes([f"blocks.{i}.norm2"], [f"blocks.{i}.mlp.fc1"]))
        # On to the next block: a constant model keeps what it passes on the way.
        after = f"blocks.{i + 1}.norm1" if i < 2 else "norm"
        later = list(walk.passes([after], []))
        whole, streams = [], []
        handles = [
            model.blocks[i].mlp.fc1.register_forward_hook(lambda m, args, out, to=whole: to.append(out)),
            model.get_submodule(after).register_forward_pre_hook(
                lambda m, args, to=streams: to.append(args[0])
            ),
        ]
        with torch.no_grad():
            for pixels, _ in images.batches(10):
                model(pixels)
        for handle in handles:
            handle.remove()
        for taps, out in zip(seen, whole, strict=True):
            assert torch.equal(taps[f"blocks.{i}.mlp.fc1"], out)
        for taps, stream in zip(later, streams, strict=True):
            assert torch.equal(taps[after], stream)
    assert modules_of(model) == modules


def test_a_constant_walk_computes_each_block_once_to_go_on(small_vit):
    """The pass to the next block's norm already carries: no further pass of the block."""
    model = small_vit(depth=2)
    walk = Walk(model, load_images(None, "train", model).limited(10), 10, find_route(model), constant=True)
    calls = []
    model.blocks[0].mlp.register_forward_hook(lambda *_: calls.append(1))
    list(walk.passes(["blocks.1.norm1"], []))
    walk.advance(["blocks.1.norm1"])
    assert walk.route.cuts[walk.at - 1].name == "blocks.0"
    assert len(calls) == 1


def test_an_error_inside_restores_the_model(small_vit):
    model = small_vit()
    walk = Walk(model, load_images(None, "train", model).limited(5), 5, find_route(model))
    walk.advance(["blocks.1.norm1"])
    modules = modules_of(model)
    passes = walk.passes([], ["head"])
    next(passes)
    passes.close()
    assert modules_of(model) == modules
