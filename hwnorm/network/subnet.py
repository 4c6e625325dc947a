"""A vision transformer of timm with less in its blocks: a module, and a file that models are read from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hwnorm.artefact import Artefact, Part
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.files import digest, write_whole
from hwnorm.network.replacement import ChannelAffine
from hwnorm.timm_compat import import_timm

#: Where a module that was read from a file has its rows of 8 bits.
WIDE_ROWS = "wide_rows"


class SubnetBlock(Part):
    """Heads of a block's attention, and units of its MLP."""

    heads: int
    units: int


class SubnetNorm(Part):
    """What stands in a norm's place: ``layernorm``, ``none``, or the text of a function.

    ``affine`` says that a weight and a bias a channel follow the function.
    """

    kind: Literal["layernorm", "none", "function"]
    function: str = ""
    affine: bool = False


class SubnetFile(Artefact):
    """A subnet's architecture; its weights lie beside it (:func:`weights_file`).

    Attributes:
        model, arguments: what it is a part of, as timm (or ``builtin``) builds it.
        width: channels of the residual stream.
        head_dim: channels of a head.
        norms: by module.
        wide: by linear layer, as :func:`hwnorm.graph.read.read_graph` calls them, the rows that have 8 bits;
            the others have 4.
        weights: hash of the file of the weights.
    """

    KIND = "subnet"

    model: str
    arguments: dict[str, Any]
    width: int
    head_dim: int
    blocks: list[SubnetBlock]
    norms: dict[str, SubnetNorm]
    wide: dict[str, list[int]]
    weights: str


def weights_file(path: Path) -> Path:
    """Where the weights of a subnet's file lie."""
    return path.with_suffix(".safetensors")


def shape(
    model: Any, width: int, head_dim: int, blocks: list[SubnetBlock], norms: Mapping[str, SubnetNorm]
) -> None:
    """Give a ``VisionTransformer`` of timm, in place, other sizes; its weights are any then.

    Args:
        norms: what is to stand at each norm of the blocks that are left, and outside of them.

    Raises:
        InputError: timm's attention has no size of its own here, beside that of the stream.
    """
    import_timm()
    import timm

    own = model.patch_embed.proj
    proj = nn.Conv2d(own.in_channels, width, own.kernel_size, own.stride, own.padding)
    model.patch_embed.proj = proj
    for name in ("cls_token", "reg_token", "pos_embed"):
        found = getattr(model, name, None)
        if found is not None:
            setattr(model, name, nn.Parameter(torch.zeros(*found.shape[:-1], width)))
    model.embed_dim = model.num_features = model.head_hidden_size = width
    model.blocks = nn.Sequential(*list(model.blocks)[: len(blocks)])
    for block, sizes in zip(model.blocks, blocks, strict=True):
        attention, mlp = block.attn, block.mlp
        if not hasattr(attention, "attn_dim"):
            raise InputError(
                f"timm {timm.__version__}: its attention has as many channels as the stream; a subnet needs "
                "timm 1.0.20 or later"
            )
        attention.num_heads, attention.head_dim = sizes.heads, head_dim
        attention.attn_dim = sizes.heads * head_dim
        attention.qkv = nn.Linear(width, 3 * attention.attn_dim)
        attention.proj = nn.Linear(attention.attn_dim, width)
        mlp.fc1, mlp.fc2 = nn.Linear(width, sizes.units), nn.Linear(sizes.units, width)
        block.ls1, block.ls2 = nn.Identity(), nn.Identity()
    if isinstance(model.head, nn.Linear):
        model.head = nn.Linear(width, model.head.out_features)
    for name, norm in norms.items():
        model.set_submodule(name, _norm(norm, width, model.get_submodule(name)))
    model.eval()


def _norm(norm: SubnetNorm, width: int, before: nn.Module) -> nn.Module:
    if norm.kind == "none":
        return nn.Identity()
    if norm.kind == "layernorm":
        return nn.LayerNorm(width, eps=getattr(before, "eps", 1e-6))
    function = parse(norm.function).to_module()
    return ChannelAffine(function, width, None, None, -1) if norm.affine else function


def write_subnet(path: Path, module: nn.Module, seed: int, made_from: dict[str, str], **told: Any) -> None:
    """Write a subnet's file, and its weights before it.

    Args:
        told: the fields of :class:`SubnetFile` but for ``weights``.
    """
    weights = weights_file(path)
    state = {name: value.detach().contiguous().cpu() for name, value in module.state_dict().items()}
    write_whole(weights, lambda beside: save_file(state, beside))
    SubnetFile.model_validate(told | {"weights": digest(weights)}).write(path, seed, made_from)


def read_subnet(path: Path) -> SubnetFile:
    """A subnet's architecture, whose weights belong to it.

    Raises:
        InputError: the file is missing or damaged, or its weights are missing or others.
    """
    found = SubnetFile.read(path, "`hwnorm pareto SPACE.toml --emit` writes one")
    weights = weights_file(path)
    if not weights.is_file():
        raise InputError(f"{path}: {weights.name} is missing beside it; it holds the subnet's weights")
    if digest(weights) != found.weights:
        raise InputError(f"{weights}: are not the weights that {path.name} was written with")
    return found


def wide_rows(model: nn.Module) -> Mapping[str, list[int]] | None:
    """The rows that have 8 bits of a model that was read from a subnet's file; None of another."""
    found: Mapping[str, list[int]] | None = getattr(model, WIDE_ROWS, None)
    return found


def load_state(model: nn.Module, path: Path) -> None:
    """The weights of a subnet's file into a module of its shape."""
    try:
        model.load_state_dict(load_file(weights_file(path)))
    except RuntimeError as error:
        raise InputError(
            f"{weights_file(path)}: does not fit the subnet ({' '.join(str(error).split())[:200]})"
        ) from None
