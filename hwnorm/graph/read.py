"""Read a graph from one of timm's vision transformers, whose norms may be functions by now."""

from __future__ import annotations

import copy
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from hwnorm.errors import InputError
from hwnorm.graph.graph import IMAGES, Graph
from hwnorm.graph.operations import (
    Add,
    Affine,
    Context,
    Embed,
    Function,
    Linear,
    Norm,
    Operation,
    Patches,
    Pool,
    Scores,
    Softmax,
)
from hwnorm.network.norms import example_images, first_tensor, tapped
from hwnorm.network.replacement import ChannelAffine
from hwnorm.timm_compat import import_timm

#: The graph's output is that of the module within this share of its largest value.
AGREEMENT = 1e-5
#: What changes no value in evaluation.
_PASSED = (nn.Identity, nn.Dropout)


class NotCovered(InputError):
    """A network of which there is no graph."""


@torch.no_grad()
def read_graph(model: nn.Module) -> Graph:
    """The operations of a vision transformer of timm in evaluation mode, checked by running both in float64.

    Covered are ``timm.models.VisionTransformer`` and its blocks: class and register tokens, positions,
    pre-norm, q and k norms, norms before proj and fc2, LayerScale, GELU, QuickGELU, SiLU and ReLU, pooling
    by class token or mean. A norm may have been replaced (:func:`hwnorm.network.replacement.replace_norms`).
    Folded exactly: LayerScale into the layer before it, the scale of q k^T into q.

    Raises:
        NotCovered: a module that the graph does not cover, by its name; or the graph's output is not the
            module's.
    """
    graph = Graph(tuple(_Reader(model).read()))
    # In float32 the two round differently, and where a function is a table that is a whole step.
    exact = copy.deepcopy(model).double()
    images = example_images(model).double()
    reader = _Reader(exact)
    doubles = Graph(tuple(reader.read()))
    wanted, found = first_tensor(exact(images)), doubles(images)
    if found.shape != wanted.shape:
        raise NotCovered(
            f"model: puts out {tuple(wanted.shape)}, its graph {tuple(found.shape)}; "
            "a vector an image is covered, no feature map"
        )
    error = _difference(found, wanted)
    if not error <= AGREEMENT:
        with tapped(exact, reader.places) as taps:
            exact(images)
        values = doubles.trace(images)
        apart = [
            name for name in taps if not _difference(values[reader.places[name]], taps[name]) <= AGREEMENT
        ]
        raise NotCovered(
            f"module {apart[0] if apart else 'head'!r}: it, or what runs before it, computes something else "
            f"than its class says; a graph is covered whose output is the module's, this one's is off by "
            f"{error:.2g} of the largest value"
        )
    return graph


def _difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    found, wanted = found.flatten(1), wanted.flatten(1)
    if found.shape != wanted.shape:
        return float("inf")
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30))


class _Reader:
    def __init__(self, model: nn.Module) -> None:
        import_timm()
        # As the model's own file names them: timm 1.0.19 has a second LayerScale in timm.layers.
        from timm.models.vision_transformer import (
            Attention,
            Block,
            LayerScale,
            Mlp,
            PatchEmbed,
            VisionTransformer,
        )

        self.model: Any = model
        self.VisionTransformer, self.Block, self.Attention = VisionTransformer, Block, Attention
        self.Mlp, self.PatchEmbed, self.LayerScale = Mlp, PatchEmbed, LayerScale
        self.ops: list[Operation] = []
        #: Modules in order of execution, and the tensor that is the output of each.
        self.places: dict[str, str] = {}

    def read(self) -> list[Operation]:
        model = self.model
        self._is("", model, self.VisionTransformer)
        if model.training:
            raise NotCovered("model: is in training mode; evaluation mode is what a graph is read in")
        self._embed()
        x = self.places["norm_pre"] = self._norm("norm_pre", "embed")
        for name, block in model.blocks.named_children():
            x = self._block(f"blocks.{name}", block, x)
        x = self.places["norm"] = self._norm("norm", x)
        x = self._pool(x)
        x = self.places["fc_norm"] = self._norm("fc_norm", x)
        self._pass("head_drop", model.head_drop)
        if isinstance(model.head, nn.Linear):
            self.places["head"] = self._linear("head", "head", model.head, x)
        elif not isinstance(model.head, nn.Identity):
            self._refuse("head", model.head, "a linear layer or none")
        return self.ops

    def _add(self, operation: Operation) -> str:
        self.ops.append(operation)
        return operation.out

    def _embed(self) -> None:
        model, patches = self.model, self.model.patch_embed
        self._is("patch_embed", patches, self.PatchEmbed)
        self._is("patch_embed.proj", patches.proj, nn.Conv2d)
        conv: nn.Conv2d = patches.proj
        side_by_side = conv.stride == conv.kernel_size and conv.padding in ((0, 0), "valid")
        if not side_by_side or conv.groups != 1 or conv.dilation != (1, 1):
            self._refuse("patch_embed.proj", conv, "patches side by side")
        height, width = conv.kernel_size
        x = self._add(Patches("patches", IMAGES, height, width))
        weight, bias = _weights(conv)
        x = self._add(Linear("patch_embed", x, weight.flatten(1), bias, "patch_embed.proj"))
        x = self.places["patch_embed"] = self._norm("patch_embed.norm", x)
        self._pass("patch_drop", model.patch_drop, also=("PatchDropout",))
        self._pass("pos_drop", model.pos_drop)
        prefix = [token for token in (model.cls_token, model.reg_token) if token is not None]
        own = torch.cat([weight.new_zeros(0, model.embed_dim), *(token.detach()[0] for token in prefix)])
        if model.pos_embed is None:
            table = torch.cat([own, own.new_zeros(patches.num_patches, model.embed_dim)])
        elif model.no_embed_class:
            table = torch.cat([own, model.pos_embed.detach()[0]])
        else:
            table = model.pos_embed.detach()[0].clone()
            table[: len(own)] += own
        self._add(Embed("embed", x, table, len(own)))

    def _block(self, name: str, block: Any, x: str) -> str:
        self._is(name, block, self.Block)
        self._is(f"{name}.attn", block.attn, self.Attention)
        self._is(f"{name}.mlp", block.mlp, self.Mlp)
        for drop in ("drop_path1", "drop_path2"):
            self._pass(f"{name}.{drop}", getattr(block, drop), also=("DropPath",))
        y = self.places[f"{name}.norm1"] = self._norm(f"{name}.norm1", x)
        y = self._attention(f"{name}.attn", block.attn, y, block.ls1, f"{name}.ls1")
        self.places[f"{name}.ls1"] = y
        x = self._add(Add(f"{name}.stream1", x, y))
        y = self.places[f"{name}.norm2"] = self._norm(f"{name}.norm2", x)
        y = self._mlp(f"{name}.mlp", block.mlp, y, block.ls2, f"{name}.ls2")
        self.places[f"{name}.ls2"] = y
        x = self.places[name] = self._add(Add(f"{name}.stream2", x, y))
        return x

    def _attention(self, name: str, attn: Any, x: str, scale: nn.Module, scale_name: str) -> str:
        if getattr(attn, "gate", None) is not None:
            self._refuse(f"{name}.gate", attn.gate, "no gate")
        qkv: nn.Linear = attn.qkv
        self._is(f"{name}.qkv", qkv, nn.Linear)
        normed = not isinstance(attn.q_norm, nn.Identity)
        weight, bias = _weights(qkv)
        parts = []
        for part, (w, b) in zip("qkv", zip(weight.chunk(3), bias.chunk(3), strict=True), strict=True):
            if part == "q" and not normed:
                w, b = w * attn.scale, b * attn.scale
            parts.append(self._add(Linear(f"{name}.{part}", x, w, b, f"{name}.qkv")))
        q, k, v = parts
        if normed:
            q = self._norm(f"{name}.q_norm", q, attn.num_heads, attn.scale)
        k = self._norm(f"{name}.k_norm", k, attn.num_heads)
        self._pass(f"{name}.attn_drop", attn.attn_drop)
        self._pass(f"{name}.proj_drop", attn.proj_drop)
        scores = self._add(Scores(f"{name}.scores", q, k, attn.num_heads))
        p = self._add(Softmax(f"{name}.softmax", scores))
        y = self._norm(f"{name}.norm", self._add(Context(f"{name}.context", p, v, attn.num_heads)))
        return self._linear(f"{name}.proj", f"{name}.proj", attn.proj, y, self._scale(scale_name, scale))

    def _mlp(self, name: str, mlp: Any, x: str, scale: nn.Module, scale_name: str) -> str:
        y = self.places[f"{name}.fc1"] = self._linear(f"{name}.fc1", f"{name}.fc1", mlp.fc1, x)
        self._pass(f"{name}.drop1", mlp.drop1)
        self._pass(f"{name}.drop2", mlp.drop2)
        if not _is_elementwise(mlp.act):
            self._refuse(f"{name}.act", mlp.act, "an elementwise function")
        act = mlp.act
        if getattr(act, "inplace", False):
            # It would write over fc1's output, which a trace keeps.
            act = copy.copy(act)
            act.inplace = False
        y = self.places[f"{name}.act"] = self._add(Function(f"{name}.act", y, act, f"{name}.act"))
        y = self._norm(f"{name}.norm", y)
        return self._linear(f"{name}.fc2", f"{name}.fc2", mlp.fc2, y, self._scale(scale_name, scale))

    def _scale(self, name: str, scale: nn.Module) -> Tensor | None:
        if isinstance(scale, nn.Identity):
            return None
        self._is(name, scale, self.LayerScale)
        gamma: Any = scale.gamma
        found: Tensor = gamma.detach()
        return found

    def _linear(self, out: str, layer: str, module: nn.Module, x: str, scale: Tensor | None = None) -> str:
        self._is(layer, module, nn.Linear)
        assert isinstance(module, nn.Linear)
        weight, bias = _weights(module)
        if scale is not None:
            weight, bias = weight * scale[:, None], bias * scale
        return self._add(Linear(out, x, weight, bias, layer))

    def _norm(self, name: str, x: str, heads: int = 1, scale: float = 1.0) -> str:
        """A norm, or what stands in its place; each head by itself, the result times ``scale``."""
        module: Any = self.model.get_submodule(name)
        if isinstance(module, nn.Identity):
            return x
        if isinstance(module, nn.LayerNorm):
            size = module.normalized_shape[-1]
            weight = self._full(size, 1.0) if module.weight is None else module.weight.detach()
            bias = self._full(size, 0.0) if module.bias is None else module.bias.detach()
            return self._add(Norm(name, x, weight * scale, bias * scale, module.eps, heads, name))
        if isinstance(module, ChannelAffine):
            weight, bias = (p.detach() * scale for p in (module.weight, module.bias))
            y = self._add(Function(f"{name}.function", x, module.function, name))
            return self._add(Affine(name, y, weight.repeat(heads), bias.repeat(heads)))
        if not _is_function(module):
            self._refuse(name, module, "LayerNorm or a function in its place")
        y = self._add(Function(name, x, module, name))
        if scale == 1.0:
            return y
        channels = heads * self.model.get_submodule(name.rpartition(".")[0]).head_dim
        return self._add(Affine(f"{name}.scaled", y, self._full(channels, scale), self._full(channels, 0.0)))

    def _full(self, channels: int, value: float) -> Tensor:
        """A value a channel, of the model's type and on its device."""
        weight: Tensor = self.model.patch_embed.proj.weight
        return weight.new_full((channels,), value)

    def _pool(self, x: str) -> str:
        model = self.model
        kind = model.global_pool
        if getattr(model, "attn_pool", None) is not None:
            self._refuse("attn_pool", model.attn_pool, "pooling by class token or mean")
        tokens = model.num_prefix_tokens + model.patch_embed.num_patches
        if kind == "token":
            return self._add(Pool("pool", x, 0, 1))
        if kind == "avg":
            first = 0 if model.pool_include_prefix else model.num_prefix_tokens
            return self._add(Pool("pool", x, first, tokens))
        raise NotCovered(
            f"model: pools its tokens by {kind or 'no'!r} pooling; by class token ('token') or mean ('avg') "
            "is covered"
        )

    def _is(self, name: str, module: nn.Module, kind: type) -> None:
        # A subclass may compute anything.
        if type(module) is not kind:
            self._refuse(name, module, f"{kind.__module__.partition('.')[0]}'s {kind.__name__}")

    def _pass(self, name: str, module: nn.Module, also: tuple[str, ...] = ()) -> None:
        if not isinstance(module, _PASSED) and type(module).__name__ not in also:
            self._refuse(name, module, "nothing that changes values in evaluation")

    def _refuse(self, name: str, module: nn.Module, covered: str) -> NoReturn:
        place = f"module {name!r}" if name else "model"
        raise NotCovered(f"{place}: is a {type(module).__name__}; a graph covers {covered}")


def _weights(layer: nn.Linear | nn.Conv2d) -> tuple[Tensor, Tensor]:
    weight = layer.weight.detach()
    return weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()


def _is_function(module: nn.Module) -> bool:
    """Whether it is an elementwise function of ours."""
    return type(module).__module__.startswith("hwnorm.")


def _is_elementwise(module: nn.Module) -> bool:
    from timm.layers import activations

    kinds = (nn.GELU, nn.ReLU, nn.SiLU, activations.GELU, activations.GELUTanh, activations.QuickGELU)
    return type(module) in kinds or _is_function(module)
