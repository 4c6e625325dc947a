"""Find the LayerNorms of a model and the linear layers that read them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnorm.data.config import input_config
from hwnorm.errors import InputError

#: Steps of autograd's graph that keep the channels apart, so that a per-channel affine passes
#: through: views, and timm's pooling by the class token or by the mean over tokens.
_PER_CHANNEL = frozenset(
    {
        "AliasBackward0",
        "MeanBackward1",
        "SelectBackward0",
        "SliceBackward0",
        "UnsafeViewBackward0",
        "ViewBackward0",
    }
)


@dataclass(frozen=True, slots=True)
class NormSite:
    """A LayerNorm over the last axis of its input.

    ``consumers`` are the linear layers that read its output, directly or through linear pooling. It
    is empty unless they are its only readers: then its gamma and beta fold into them exactly.
    """

    name: str
    channels: int
    eps: float
    consumers: tuple[str, ...]


def example_images(model: nn.Module) -> Tensor:
    """Two images of seeded noise in the model's input size, float32 (2, C, H, W)."""
    return torch.randn(2, *input_config(model)["input_size"], generator=torch.Generator().manual_seed(0))


def find_norms(model: nn.Module) -> list[NormSite]:
    """Return the LayerNorm sites in the order of execution, by tracing one batch of noise.

    Who reads a norm is taken from autograd's graph: an edge for each reader.

    Raises:
        InputError: the model has no LayerNorm over its channels.
    """
    norms: list[tuple[str, nn.LayerNorm, Tensor]] = []
    linears: list[tuple[str, Tensor]] = []

    def on_norm(name: str) -> Any:
        def hook(module: nn.LayerNorm, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            x = inputs[0]
            if x.shape[-1:] == module.normalized_shape:
                normed = F.layer_norm(x, module.normalized_shape, module.weight, module.bias, module.eps)
                # LayerNorm2d is an nn.LayerNorm too, but normalizes the second axis.
                # What overflows is NaN in both: capture tells of it, with the layer's name.
                if torch.allclose(normed, output, rtol=1e-4, atol=1e-5, equal_nan=True):
                    norms.append((name, module, output))

        return hook

    def on_linear(name: str) -> Any:
        return lambda module, inputs: linears.append((name, inputs[0]))

    handles = []
    try:
        for name, module in model.named_modules():
            if isinstance(module, nn.LayerNorm):
                handles.append(module.register_forward_hook(on_norm(name)))
            elif isinstance(module, nn.Linear):
                handles.append(module.register_forward_pre_hook(on_linear(name)))
        with torch.enable_grad():
            output = model(example_images(model).requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    if not norms:
        raise InputError(f"{type(model).__name__}: has no LayerNorm over its channels; nothing to replace")

    readers = _readers(output)
    calls = [name for name, _ in linears]
    once_normed = [name for name, _, _ in norms]
    sites = []
    for name, module, out in norms:
        consumers = [linear for linear, x in linears if _origin(x.grad_fn) is out.grad_fn]
        foldable = (
            readers[out.grad_fn] == len(consumers)
            and once_normed.count(name) == 1
            and all(calls.count(linear) == 1 for linear in consumers)
        )
        sites.append(
            NormSite(name, int(module.normalized_shape[0]), module.eps, tuple(consumers) if foldable else ())
        )
    return sites


def _origin(node: Any) -> Any:
    """The first step, going back from ``node``, that is no per-channel step."""
    while node is not None and node.name() in _PER_CHANNEL:
        node = node.next_functions[0][0]
    return node


def _readers(output: Tensor) -> dict[Any, int]:
    """For each step of the graph behind ``output``: its readers, per-channel steps looked through."""
    count: dict[Any, int] = defaultdict(int)
    visited: set[Any] = set()
    stack = [output.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in visited:
            continue
        # Holding the step matters: Python's handle of it is one object only as long as it lives.
        visited.add(node)
        for parent, _ in node.next_functions:
            if node.name() not in _PER_CHANNEL:
                count[_origin(parent)] += 1
            stack.append(parent)
    return count
