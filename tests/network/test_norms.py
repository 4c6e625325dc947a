"""Norms are found in the order of execution, with exactly the linear layers that read them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.capture.hooks import capture
from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.network.norms import find_norms, norms_left, select_norms
from hwnorm.network.replacement import replace_norms
from hwnorm.timm_compat import import_timm


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
    with pytest.raises(InputError, match="Sequential: has no LayerNorm or RMSNorm"):
        find_norms(nn.Sequential(nn.Conv2d(3, 4, 3)), example_inputs=torch.zeros(1, 3, 8, 8))


def test_no_hook_stays(small_vit):
    model = small_vit()
    find_norms(model)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_patterns_select(small_vit):
    sites = find_norms(small_vit())
    names = lambda only, skip: [s.name for s in select_norms(sites, only, skip)]  # noqa: E731
    assert names([], []) == [s.name for s in sites]
    assert names(["blocks.*.norm1"], []) == ["blocks.0.norm1", "blocks.1.norm1"]
    assert names(["blocks.*"], ["*.norm2"]) == ["blocks.0.norm1", "blocks.1.norm1"]
    with pytest.raises(InputError, match=r"option --skip: 'block\.' matches no norm; there are blocks\.0"):
        names([], ["block."])
    with pytest.raises(InputError, match="--only and --skip leave no norm"):
        names(["norm"], ["norm"])


class _OwnRms(nn.Module):
    """An RMS norm as language models write it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 2, channels))
        self.variance_epsilon = 1e-6

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.variance_epsilon)


@pytest.mark.parametrize(
    ("norm", "kind"),
    [(_OwnRms(28), "rmsnorm"), (nn.RMSNorm(28), "rmsnorm"), (nn.LayerNorm(28, bias=False), "layernorm")],
)
def test_norms_are_known_by_what_they_compute(norm, kind):
    model = _Net(skip=False)
    model.norm = norm
    model.patch_embed = nn.Identity()
    model.patch_embed.img_size = (28, 28)
    (site,) = find_norms(model)
    assert (site.kind, site.channels, site.consumers) == (kind, 28, ("first", "second"))
    x = torch.randn(3, 28)
    torch.testing.assert_close(site.normalize(x) * norm.weight, norm(x), rtol=1e-5, atol=1e-5)


class _Shuffled(_Net):
    """What the linear layers read has its channels in another order: gamma would fold in the wrong place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.stem(x)).roll(1, dims=-1)
        return self.first(y) * self.second(y)


def test_an_affine_that_does_not_pass_through_is_found_out():
    model = _Shuffled(skip=False)
    model.patch_embed = nn.Identity()
    model.patch_embed.img_size = (28, 28)
    assert find_norms(model)[0].consumers == ()


def test_what_looks_like_a_norm_and_stays_is_told_with_the_reason(small_vit):
    """Whatever kind: nobody has to count them to see that some were not replaced."""

    class OddNorm(nn.Module):
        def forward(self, x):
            return x.tanh()

    model = small_vit()
    model.patch_embed.norm = OddNorm()
    model.extra = nn.ModuleDict(
        {"batch": nn.BatchNorm2d(4), "group": nn.GroupNorm(2, 4), "no": nn.Identity()}
    )
    model.extra["place"] = nn.InstanceNorm2d(4)
    left = norms_left(model, find_norms(model))
    assert left == {
        "patch_embed.norm": "OddNorm: does not run, or computes no LayerNorm or RMSNorm over its channels",
        "extra.batch": "BatchNorm2d: takes its statistics from training, and is affine already",
        "extra.group": "GroupNorm: takes statistics of each of 2 groups of channels",
        "extra.place": "InstanceNorm2d: takes statistics over places, not over channels",
    }
    assert norms_left(small_vit(), find_norms(small_vit())) == {}


def test_a_group_norm_of_one_group_is_a_norm_over_all_but_the_batch(small_vit):
    """PoolFormer's: all are found, captured, and replaced by what they compute."""
    import_timm()
    from timm.layers import GroupNorm1
    from timm.models.metaformer import MetaFormer

    sizes = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16), "num_classes": 3}
    kind = {"norm_layers": GroupNorm1, "downsample_norm": None, "use_mlp_head": False}
    model = MetaFormer(**sizes, **kind).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.GroupNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    sites = find_norms(model, example_inputs=images)
    whole = [site for site in sites if site.whole]
    assert len(whole) == 8
    assert norms_left(model, sites) == {}
    plain = {s.name: nn.GroupNorm(1, s.channels, eps=s.eps, affine=False) for s in whole}
    student = replace_norms(model, plain, example_inputs=images)
    torch.testing.assert_close(student(images), model(images), rtol=1e-4, atol=1e-5)

    seen = []
    at = model.get_submodule(whole[-1].name)
    at.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    profile = capture(model, Maps(images), whole, batch=1, example_inputs=images)[whole[-1].name]
    x = torch.cat(seen[-2:]).double()
    y = nn.functional.group_norm(x, 1, eps=whole[-1].eps)
    assert profile.images == 2
    assert profile.sum_yy.sum() == pytest.approx(float(y.square().sum()), rel=1e-6)
    assert profile.count.sum() == y.numel()


class Maps(ImageSet):
    """Some images, whatever they are of."""

    description, preparation, fingerprint = "maps", "none", "maps"

    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return len(self.pixels)

    def subset(self, indices):
        return Maps(self.pixels[indices])

    def batches(self, size):
        for pixels in self.pixels.split(size):
            yield pixels, torch.zeros(len(pixels), dtype=torch.int64)
