"""Images that are carried on become what whole forward passes make of them, and the model stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hwnorm.network.norms import find_norms
from hwnorm.network.replay import Replay

LAYERS = [f"blocks.{i}.{name}" for i in range(3) for name in ("norm1", "norm2", "mlp.fc2")] + ["norm", "head"]


def modules_of(model: nn.Module) -> list[nn.Module]:
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in model.modules())
    return list(model.modules())


@pytest.fixture
def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(count, 1, 28, 28, generator=generator) for count in (4, 4, 2)]


@torch.no_grad()
@pytest.mark.parametrize("gone", [None, "blocks.1.norm2"])
def test_carried_activations_equal_whole_passes(small_vit, batches, gone):
    """At every layer, in every batch; the output too. Also where a norm has folded away."""
    model = small_vit(depth=3)
    if gone is not None:
        model.set_submodule(gone, nn.Identity())
    modules = modules_of(model)
    replay = Replay(model, batches, LAYERS)
    whole: dict[str, list[Tensor]] = {name: [] for name in LAYERS}
    handles = [
        model.get_submodule(name).register_forward_pre_hook(lambda m, args, n=name: whole[n].append(args[0]))
        for name in LAYERS
    ]
    wanted = [model(pixels) for pixels in batches]
    for handle in handles:
        handle.remove()
    for layer in LAYERS:
        replay.advance(layer)
        for seen, expected in zip(replay.passes([layer]), whole[layer], strict=True):
            assert torch.equal(seen[layer], expected)
        assert len(list(replay.passes(["head"], count=2))) == 2
        for output, expected in zip(replay.outputs(), wanted, strict=True):
            torch.testing.assert_close(output, expected)
    assert modules_of(model) == modules


@torch.no_grad()
def test_only_what_comes_after_is_computed(small_vit, batches):
    """From a layer on the modules before it are not called, and the images are not asked for."""
    model = small_vit()
    asked = []

    class Asked:
        def __iter__(self):
            asked.append(1)
            return iter(batches)

    replay = Replay(model, Asked(), [site.name for site in find_norms(model)])
    calls: list[str] = []
    for name in ("patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.mlp.fc1", "blocks.1.attn.qkv"):
        model.get_submodule(name).register_forward_pre_hook(lambda module, args, n=name: calls.append(n))
    for layer, left in (("blocks.0.norm2", 2), ("blocks.1.norm1", 1), ("norm", 0)):
        replay.advance(layer)
        calls.clear()
        list(replay.outputs())
        assert len(calls) == left * len(batches), layer
    assert asked == [1]


def test_what_nothing_reads_takes_no_memory(small_vit, batches):
    """Of all that is kept at a layer the rest of the network reads the stream, or its parts."""
    model = small_vit(depth=3)
    replay = Replay(model, batches, LAYERS)
    for layer, most in (("blocks.2.norm1", 1), ("blocks.2.mlp.fc2", 3)):
        replay.advance(layer)
        stores = [value.untyped_storage() for value in replay._kept[0].values()]
        assert len({store.data_ptr() for store in stores if store.nbytes() > 8}) == most, layer


def test_a_fork_is_carried_on_by_itself(small_vit, batches):
    model = small_vit()
    replay = Replay(model, batches, ["blocks.0.norm2", "norm"])
    replay.advance("blocks.0.norm2")
    other = replay.fork()
    other.advance("norm")
    calls = []
    model.get_submodule("blocks.1").register_forward_pre_hook(lambda module, args: calls.append(1))
    list(other.outputs())
    assert not calls
    list(replay.outputs())
    assert len(calls) == len(batches)


def test_an_error_inside_restores_the_model(small_vit, batches):
    model = small_vit()
    replay = Replay(model, batches, ["blocks.1.norm1"])
    replay.advance("blocks.1.norm1")
    modules = modules_of(model)
    passes = replay.passes(["head"])
    next(passes)
    passes.close()
    assert modules_of(model) == modules
