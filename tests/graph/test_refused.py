"""What a graph does not cover is refused in a line that names the module and what is covered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from random_networks import TINY, network, small
from torch import Tensor, nn

from hwnorm.errors import InputError
from hwnorm.graph.read import read_graph
from hwnorm.timm_compat import import_timm

#: Networks of timm's by name: what makes them quick, and what the refusal says.
NAMED: dict[str, tuple[dict[str, Any], str]] = {
    "swin_tiny_patch4_window7_224": (
        {"embed_dim": 24, "depths": (1, 1), "num_heads": (1, 2)},
        "model: is a SwinTransformer; a graph covers timm's VisionTransformer",
    ),
    "convnext_atto": (
        {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)},
        "model: is a ConvNeXt; a graph covers timm's VisionTransformer",
    ),
    "beit_base_patch16_224": (TINY, "model: is a Beit; a graph covers timm's VisionTransformer"),
    "eva02_tiny_patch14_224": (TINY, "model: is a Eva; a graph covers timm's VisionTransformer"),
    "deit_tiny_distilled_patch16_224": (
        TINY,
        "model: is a VisionTransformerDistilled; a graph covers timm's VisionTransformer",
    ),
    "vit_tiny_r_s16_p8_224": (
        TINY,
        "module 'patch_embed': is a HybridEmbed; a graph covers timm's PatchEmbed",
    ),
    "test_vit3": (
        {},
        "module 'attn_pool': is a AttentionPoolLatent; a graph covers pooling by class token or mean",
    ),
    "test_vit4": (
        {},
        "module 'blocks.0.norm1': is a RmsNorm; a graph covers LayerNorm or a function in its place",
    ),
    "vit_pwee_patch16_reg1_gap_256": (
        TINY,
        "module 'blocks.0': is a ParallelScalingBlock; a graph covers timm's Block",
    ),
    "vit_base_patch16_rpn_224": (TINY, "module 'blocks.0': is a ResPostBlock; a graph covers timm's Block"),
    "vit_giant_patch14_reg4_dinov2": (
        TINY | {"img_size": 28},
        "module 'blocks.0.mlp': is a GluMlp; a graph covers timm's Mlp",
    ),
}


def refusal(model: nn.Module) -> str:
    with pytest.raises(InputError) as caught:
        read_graph(model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_network_of_another_kind_is_refused(name):
    changes, told = NAMED[name]
    assert refusal(network(name, **changes)) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"act_layer": nn.Tanh},
            "module 'blocks.0.mlp.act': is a Tanh; a graph covers an elementwise function",
        ),
        (
            {"act_layer": nn.Identity},
            "module 'blocks.0.mlp.act': is a Identity; a graph covers an elementwise ",
        ),
        (
            {"norm_layer": "batchnorm2d"},
            "module 'blocks.0.norm1': is a BatchNorm2d; a graph covers LayerNorm or ",
        ),
        (
            {"norm_layer": "rmsnorm", "pre_norm": True},
            "module 'norm_pre': is a RmsNorm; a graph covers Layer",
        ),
        (
            {"attn_layer": "diff"},
            "module 'blocks.0.attn': is a DiffAttention; a graph covers timm's Attention",
        ),
        (
            {"global_pool": "max"},
            "model: pools its tokens by 'max' pooling; by class token ('token') or mean ",
        ),
        (
            {"global_pool": ""},
            "model: pools its tokens by 'no' pooling; by class token ('token') or mean ('avg')",
        ),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_arguments_that_are_not_covered_are_refused(changes, told):
    assert refusal(small(**changes)).startswith(told)


def test_swiglu_is_refused():
    import_timm()
    from timm.layers import SwiGLU

    told = "module 'blocks.0.mlp': is a SwiGLU; a graph covers timm's Mlp"
    assert refusal(small(mlp_layer=SwiGLU)) == told


def _gated(model: Any) -> None:
    model.blocks[1].attn.gate = nn.Linear(48, 48)


def _padded(model: Any) -> None:
    model.patch_embed.proj = nn.Conv2d(3, 48, 8, 8, padding=4)


def _dilated(model: Any) -> None:
    model.patch_embed.proj = nn.Conv2d(3, 48, 8, 8, dilation=2)


def _overlapping(model: Any) -> None:
    model.patch_embed.proj = nn.Conv2d(3, 48, 8, 4)


def _deep_head(model: Any) -> None:
    model.head = nn.Sequential(nn.Linear(48, 48), nn.Linear(48, 7))


def _scaled(model: Any) -> None:
    model.blocks[1].ls2 = nn.Linear(48, 48)


def _noisy(model: Any) -> None:
    model.blocks[1].mlp.drop1 = nn.Sigmoid()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_gated, "module 'blocks.1.attn.gate': is a Linear; a graph covers no gate"),
        (_padded, "module 'patch_embed.proj': is a Conv2d; a graph covers patches side by side"),
        (_dilated, "module 'patch_embed.proj': is a Conv2d; a graph covers patches side by side"),
        (_overlapping, "module 'patch_embed.proj': is a Conv2d; a graph covers patches side by side"),
        (_deep_head, "module 'head': is a Sequential; a graph covers a linear layer or none"),
        (_scaled, "module 'blocks.1.ls2': is a Linear; a graph covers timm's LayerScale"),
        (_noisy, "module 'blocks.1.mlp.drop1': is a Sigmoid; a graph covers nothing that changes values in "),
    ],
)
def test_a_module_of_another_kind_is_refused(change: Callable[[Any], None], told):
    model = small()
    change(model)
    assert refusal(model).startswith(told)


def test_training_mode_is_refused():
    """Dropout would make the graph one of many."""
    told = "model: is in training mode; evaluation mode is what a graph is read in"
    assert refusal(small().train()) == told


def _become(module: nn.Module, other: Callable[..., Tensor]) -> None:
    """Let a module be of a subclass that computes something else."""
    kind = type(module)
    module.__class__ = type(f"Other{kind.__name__}", (kind,), {"forward": other})


@pytest.mark.parametrize("name", ["patch_embed", "patch_embed.proj", "blocks.1", "blocks.0.attn", "head"])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_subclass_is_refused(name, factor):
    """Whether what it computes is something else or the same: the class does not tell."""
    model = small()
    module = model.get_submodule(name)
    kind = type(module)
    _become(module, lambda self, x, *args, **kwargs: factor * kind.forward(self, x, *args, **kwargs))
    assert refusal(model).startswith(f"module {name!r}: is a Other{kind.__name__}; a graph covers ")


def test_a_subclass_of_the_whole_network_is_refused():
    model = small()
    _become(model, lambda self, x: x.flatten(1))
    told = "model: is a OtherVisionTransformer; a graph covers timm's VisionTransformer"
    assert refusal(model) == told


def test_a_norm_that_computes_something_else_is_found_out():
    """LayerNorm has honest subclasses, so that the class is let pass; running both tells."""
    model = small()
    _become(model.get_submodule("blocks.1.norm2"), lambda self, x: 2 * x)
    assert refusal(model).startswith(
        "module 'blocks.1.norm2': it, or what runs before it, computes something"
    )


@pytest.mark.parametrize(
    ("at", "named"),
    [
        ("patch_embed.proj", "patch_embed"),
        ("patch_embed", "patch_embed"),
        ("pos_drop", "norm_pre"),
        ("blocks.0.norm1", "blocks.0.norm1"),
        ("blocks.0.attn.qkv", "blocks.0.ls1"),
        ("blocks.1.attn", "blocks.1.ls1"),
        ("blocks.1.mlp.fc1", "blocks.1.mlp.fc1"),
        ("blocks.1.mlp.drop1", "blocks.1.ls2"),
        ("blocks.1.mlp", "blocks.1.ls2"),
        ("blocks.1", "blocks.1"),
        ("norm", "norm"),
        ("fc_norm", "fc_norm"),
        ("head_drop", "head"),
        ("head", "head"),
    ],
)
def test_a_hook_that_changes_an_output_is_found_out(at, named):
    """By running both; the refusal names the module at which the two part, or the next that is compared."""
    model = small(init_values=1e-5)
    model.get_submodule(at).register_forward_hook(lambda module, inputs, output: output + 0.1 * output.cos())
    told = refusal(model)
    assert told.startswith(f"module {named!r}: it, or what runs before it, computes something else than its ")
    assert "a graph is covered whose output is the module's, this one's is off by 0." in told


def test_a_hook_that_changes_the_outputs_shape_is_found_out():
    model = small()
    model.register_forward_hook(lambda module, inputs, output: output[:, :, None])
    told = "model: puts out (2, 7, 1), its graph (2, 7); a vector an image is covered, no feature map"
    assert refusal(model) == told


def test_an_output_that_is_no_number_is_refused():
    """It agrees with nothing."""
    model = small()
    with torch.no_grad():
        model.get_parameter("head.bias").fill_(torch.nan)
    assert refusal(model).startswith("module 'head': ")
