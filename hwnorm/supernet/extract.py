"""A subnet as a plain module of timm's, and as a file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hwnorm.expression import ExpressionModule
from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import Affine, Embed, Function, Linear, Norm
from hwnorm.network.subnet import SubnetBlock, SubnetNorm, shape, write_subnet
from hwnorm.supernet.slices import block_of
from hwnorm.supernet.space import Subnet


@dataclass(frozen=True)
class Extracted:
    """A subnet as a module, and what its file says of it beside the base's name.

    ``wide`` are the rows of 8 bits by linear layer of the module's graph.
    """

    module: nn.Module
    width: int
    head_dim: int
    blocks: list[SubnetBlock]
    norms: dict[str, SubnetNorm]
    wide: dict[str, list[int]]

    def write(self, path: Path, seed: int, original: Mapping[str, Any]) -> None:
        """As a subnet's file, with its weights beside it.

        Args:
            original: ``model`` and ``arguments`` of :class:`hwnorm.network.subnet.SubnetFile`.
        """
        told = {name: getattr(self, name) for name in ("width", "head_dim", "blocks", "norms", "wide")}
        write_subnet(path, self.module, seed, {}, **told, **original)


@torch.no_grad()
def extract(
    model: nn.Module,
    graph: Graph,
    subnet: Subnet,
    head_dim: int,
    bits: Mapping[str, npt.NDArray[np.uint8]],
) -> Extracted:
    """The operations of a subnet as a module whose graph they are; blocks are numbered anew.

    Args:
        model: the ``VisionTransformer`` that the supernet was read from; stays as it is.
        graph: the subnet's operations.
        bits: of the rows of its linear layers.
    """
    places = {old: new for new, old in enumerate(subnet.kept)}
    blocks = [SubnetBlock(heads=b.heads, units=b.units) for b in subnet.blocks if b is not None]
    ops = {op.out: op for op in graph.operations}
    base: Any = copy.deepcopy(model)
    norms = {}
    for old in _norm_names(base):
        number = block_of(old)
        if number is None or number in places:
            norms[_renumbered(old, places)] = _norm(ops, old)
    shape(base, subnet.width, head_dim, blocks, norms)
    base.to(graph.linears[0].weight.dtype)
    state = base.state_dict()
    for op in graph.operations:
        for name, value in _parameters(op, base, places):
            state[name].copy_(value.reshape(state[name].shape))
    for new, number in enumerate(subnet.kept):
        for kind in ("weight", "bias"):
            parts = [getattr(ops[f"blocks.{number}.attn.{part}"], kind) for part in "qkv"]
            parts[0] = parts[0] / base.blocks[new].attn.scale
            state[f"blocks.{new}.attn.qkv.{kind}"].copy_(torch.cat(parts))
    base.load_state_dict(state)
    wide = {
        _renumbered(name, places): np.flatnonzero(of > 4).tolist() for name, of in bits.items() if name in ops
    }
    return Extracted(base, subnet.width, head_dim, blocks, norms, wide)


def _norm_names(model: Any) -> list[str]:
    """The places of norms where something stands."""
    names = ["norm_pre", *(f"blocks.{i}.{n}" for i in range(len(model.blocks)) for n in ("norm1", "norm2"))]
    return [*names, "norm", "fc_norm"]


def _norm(ops: Mapping[str, Any], name: str) -> SubnetNorm:
    found = ops.get(name)
    match found:
        case None:
            return SubnetNorm(kind="none")
        case Norm():
            return SubnetNorm(kind="layernorm")
        case Affine():
            return SubnetNorm(kind="function", function=_text(ops[found.x]), affine=True)
        case _:
            return SubnetNorm(kind="function", function=_text(found))


def _text(op: Function) -> str:
    assert isinstance(op.function, ExpressionModule)
    return str(op.function.expression)


def _renumbered(name: str, places: Mapping[int, int]) -> str:
    number = block_of(name)
    return name if number is None else f"blocks.{places[number]}.{name.split('.', 2)[2]}"


def _parameters(op: Any, base: Any, places: Mapping[int, int]) -> list[tuple[str, Tensor]]:
    """The parameters of the module that an operation holds; of queries, keys and values none."""
    match op:
        case Linear(out=out) if out.rpartition(".")[2] not in ("q", "k", "v"):
            name = _renumbered(op.layer, places)
            return [(f"{name}.weight", op.weight), (f"{name}.bias", op.bias)]
        case Norm() | Affine():
            name = _renumbered(op.out, places)
            return [(f"{name}.weight", op.weight), (f"{name}.bias", op.bias)]
        case Embed(table=table, prefix=prefix):
            return _embedding(base, table, prefix)
        case _:
            return []


def _embedding(base: Any, table: Tensor, prefix: int) -> list[tuple[str, Tensor]]:
    """Tokens of its own, and positions; what is added to tokens of its own is in them."""
    found: list[tuple[str, Tensor]] = []
    first = 0
    for name in ("cls_token", "reg_token"):
        token = getattr(base, name, None)
        if token is not None:
            found.append((name, table[first : first + token.shape[1]]))
            first += token.shape[1]
    if base.pos_embed is not None:
        positions = table[prefix:]
        if base.pos_embed.shape[1] > len(positions):
            own = positions.new_zeros(base.pos_embed.shape[1] - len(positions), positions.shape[1])
            positions = torch.cat([own, positions])
        found.append(("pos_embed", positions))
    return found
