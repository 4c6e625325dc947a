"""A graph computes what its network computes: at the output and at every layer on the way."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import TINY, apart, images, network, randomized, small
from torch import Tensor, nn

from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import Norm
from hwnorm.graph.read import read_graph
from hwnorm.timm_compat import import_timm

TOLERANCE = 1e-5

#: Networks of timm's by name, with what makes them quick.
NAMED: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {},
    "vit_small_patch32_224": {"depth": 2},
    "deit_tiny_patch16_224": {"img_size": 96, "depth": 3},
    "deit3_small_patch16_224": {"img_size": 64, "depth": 2},  # LayerScale, positions of the patches alone
    "test_vit": {},
    "test_vit2": {},  # a register, mean, LayerScale
    "vit_medium_patch16_gap_240": {"depth": 1},  # no class token, norm before the mean
    "vit_little_patch16_reg1_gap_256": {"img_size": 64, "depth": 2},
    "vit_mediumd_patch16_reg4_gap_256": {"img_size": 64, "depth": 2},
    "vit_wee_patch16_reg1_gap_256": {"img_size": 64, "depth": 2},
    "vit_xsmall_patch16_clip_224": {"img_size": 64, "depth": 2},  # norm before the blocks
    "vit_base_patch32_clip_quickgelu_224": TINY,
    "vit_small_patch14_reg4_dinov2": {"img_size": 56, "depth": 2},  # no head
    "vit_base_patch16_siglip_gap_224": TINY | {"img_size": 64},
    "vit_so150m_patch16_reg4_gap_256": TINY | {"img_size": 64},
    "flexivit_small": {"img_size": 96, "depth": 1},
}

#: What a vision transformer may be built with, beyond those.
BUILT: dict[str, dict[str, Any]] = {
    "ReLU": {"act_layer": "relu"},
    "SiLU": {"act_layer": "silu"},
    "GELU by tanh": {"act_layer": "gelu_tanh"},
    "norms before proj and fc2": {"scale_attn_norm": True, "scale_mlp_norm": True},
    "q and k norms": {"qk_norm": True},
    "q and k norms of one head": {"qk_norm": True, "num_heads": 1},
    "LayerScale": {"init_values": 1e-5},
    "no biases": {"qkv_bias": False, "proj_bias": False},
    "no head": {"num_classes": 0},
    "norm of the patches": {"embed_norm_layer": "layernorm"},
    "no positions": {"pos_embed": "none"},
    "no positions, no tokens of its own": {"pos_embed": "none", "class_token": False, "global_pool": "avg"},
    "registers without positions": {"reg_tokens": 3, "no_embed_class": True},
    "registers with positions": {"reg_tokens": 3},
    "registers alone": {"reg_tokens": 2, "class_token": False, "global_pool": "avg"},
    "mean of the patches": {"global_pool": "avg"},
    "mean of all tokens": {"global_pool": "avg", "pool_include_prefix": True, "reg_tokens": 1},
    "mean behind the norm": {"global_pool": "avg", "fc_norm": False},
    "norm behind the class token": {"fc_norm": True},
    "no last norm": {"final_norm": False},
    "norms without affine": {"qk_norm": True, "norm_layer": "no affine"},
    "no square": {"img_size": (16, 24), "patch_size": (8, 4)},
    "patches that leave a rest": {"img_size": 20},
    "one channel": {"in_chans": 1},
    "images of any size": {"dynamic_img_size": True},
    "dropout of every kind": {
        f"{kind}_rate": 0.2
        for kind in ("drop", "pos_drop", "patch_drop", "proj_drop", "attn_drop", "drop_path")
    },
}


def built(case: str) -> nn.Module:
    changes = dict(BUILT[case])
    import_timm()
    from timm.layers import LayerNorm

    if changes.get("norm_layer") == "no affine":
        changes["norm_layer"] = partial(LayerNorm, affine=False)
    return small(**changes)


@torch.no_grad()
def outputs(model: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What each module puts out, and what ``norm2`` reads: the stream between attention and MLP."""
    made: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        handles.append(
            module.register_forward_hook(lambda m, i, o, name=name: made.update({name: o.clone()}))
        )
        if name.endswith("norm2"):
            handles.append(
                module.register_forward_pre_hook(
                    lambda m, i, name=name: made.update({name + " reads": i[0].clone()})
                )
            )
    wanted = model(x)
    for handle in handles:
        handle.remove()
    return made, wanted


def expected(model: Any, made: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the graph's tensors are to be, from what the modules put out."""
    tokens = made["patch_embed.proj"].flatten(2).transpose(1, 2)
    found = (
        {"patch_embed": tokens, "embed": made["pos_drop"]} if "pos_drop" in made else {"patch_embed": tokens}
    )
    for name in ("patch_embed.norm", "norm_pre", "norm", "fc_norm", "head"):
        found[name] = made[name]
    for i, block in enumerate(model.blocks):
        at, attn = f"blocks.{i}", block.attn
        normed = not isinstance(attn.q_norm, nn.Identity)
        q, k, v = made[f"{at}.attn.qkv"].chunk(3, -1)
        found |= {f"{at}.attn.q": q if normed else q * attn.scale, f"{at}.attn.k": k, f"{at}.attn.v": v}
        if normed:
            # (n, heads, tokens, channels) there, the heads side by side here.
            q, k = (made[f"{at}.attn.{which}_norm"].transpose(1, 2).flatten(2) for which in "qk")
            found |= {f"{at}.attn.q_norm": q * attn.scale, f"{at}.attn.k_norm": k}
        found[f"{at}.attn.proj"], found[f"{at}.mlp.fc2"] = made[f"{at}.ls1"], made[f"{at}.ls2"]
        for name in ("norm1", "attn.norm", "norm2", "mlp.fc1", "mlp.act", "mlp.norm"):
            found[f"{at}.{name}"] = made[f"{at}.{name}"]
        found[f"{at}.stream1"], found[f"{at}.stream2"] = made[f"{at}.norm2 reads"], made[at]
    return found


def check_every_layer(model: nn.Module) -> Graph:
    graph, x = read_graph(model), images(model)
    made, wanted = outputs(model, x)
    assert apart(graph(x), wanted) < TOLERANCE
    with torch.no_grad():
        values = graph.trace(x)
    compared = {name: tensor for name, tensor in expected(model, made).items() if name in values}
    far = {
        name: apart(values[name].flatten(1), tensor.flatten(1))
        for name, tensor in compared.items()
        if not apart(values[name].flatten(1), tensor.flatten(1)) < TOLERANCE
    }
    assert far == {}
    assert {op.out for op in graph.linears} <= compared.keys()
    assert {op.out for op in graph.operations if isinstance(op, Norm)} <= compared.keys()
    assert {f"blocks.{i}.stream2" for i in range(len(model.blocks))} <= compared.keys()
    return graph


@pytest.mark.parametrize("name", NAMED)
def test_a_named_network_and_its_graph_agree(name):
    """Output, linear layers, norms and residual streams, on images that the reading has not seen."""
    check_every_layer(network(name, **NAMED[name]))


@pytest.mark.parametrize("case", BUILT)
def test_a_built_network_and_its_graph_agree(case):
    """The same for what timm's names do not have, or not in each combination."""
    check_every_layer(built(case))


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a vision transformer that a graph covers."""
    heads = draw(st.integers(1, 4))
    class_token, dynamic = draw(st.booleans()), draw(st.booleans())
    patch = draw(st.integers(3, 8))
    # Only images of one size may have a rest beside the patches.
    side = st.integers(1, 4).map(lambda n: n * patch) if dynamic else st.integers(patch, 2 * patch + 3)
    drawn = {
        "img_size": (draw(side), draw(side)),
        "patch_size": patch,
        "dynamic_img_size": dynamic,
        "in_chans": draw(st.integers(1, 3)),
        "num_classes": draw(st.integers(0, 5)),
        "depth": draw(st.integers(1, 2)),
        "num_heads": heads,
        "embed_dim": heads * draw(st.integers(-(-8 // heads), 24 // heads)),
        "mlp_ratio": draw(st.sampled_from([0.5, 1.0, 2.5])),
        "class_token": class_token,
        "global_pool": draw(st.sampled_from(["avg", "token"] if class_token else ["avg"])),
        "reg_tokens": draw(st.integers(0, 2)),
        "init_values": draw(st.sampled_from([None, 1e-5])),
        "fc_norm": draw(st.sampled_from([None, False, True])),
        "pos_embed": draw(st.sampled_from(["learn", "learn", "none"])),
        "act_layer": draw(st.sampled_from(["gelu", "gelu_tanh", "quick_gelu", "relu", "silu"])),
    }
    switches = ("qk_norm", "pre_norm", "qkv_bias", "proj_bias", "no_embed_class", "pool_include_prefix")
    switches += ("final_norm", "scale_attn_norm", "scale_mlp_norm")
    return drawn | {name: draw(st.booleans()) for name in switches}


@settings(max_examples=60)
@given(configurations(), st.integers(0, 2**16))
def test_any_covered_network_and_its_graph_agree(arguments, seed):
    """The law: whatever a vision transformer is built with, at every layer."""
    import_timm()
    from timm.models import VisionTransformer

    check_every_layer(randomized(VisionTransformer(**arguments), seed))


def test_a_trace_keeps_what_an_activation_in_place_reads():
    """fc1's own output, negative values and all, though the module's ReLU writes over it."""
    model: Any = small()
    for block in model.blocks:
        block.mlp.act = nn.ReLU(inplace=True)
    graph, x = read_graph(model), images(model)
    with torch.no_grad():
        values = graph.trace(x)
        assert apart(graph(x), model(x)) < TOLERANCE
    assert float(values["blocks.0.mlp.fc1"].min()) < 0 == float(values["blocks.0.mlp.act"].min())
    assert model.blocks[0].mlp.act.inplace


@pytest.mark.parametrize("case", ["norms without affine", "q and k norms", "no biases", "LayerScale"])
def test_a_graph_is_of_its_networks_type(case):
    """In float64 every tensor of it is, also those that the network does not have."""
    model = built(case).double()
    graph, x = read_graph(model), images(model)
    tensors = [
        value
        for op in graph.operations
        for field in dataclasses.fields(op)
        if isinstance(value := getattr(op, field.name), Tensor)
    ]
    assert {tensor.dtype for tensor in tensors} == {torch.float64}
    with torch.no_grad():
        assert apart(graph(x), model(x)) < 1e-12


def test_reading_leaves_the_network_as_it_is():
    model = small(init_values=1e-5, qk_norm=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    read_graph(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
