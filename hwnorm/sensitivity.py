"""Which tokens a network's output depends on: those that a function in place of a norm should suit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.norms import first_tensor

#: Images from which the weights of a refit come, and the least: what nothing reads keeps its scale.
WEIGHED, LEAST_WEIGHT = 32, 1e-3


@torch.enable_grad()
def token_weights(model: nn.Module, pixels: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Of each named module that puts out tokens, the weight of each: float32 (tokens,), 1 on average.

    The squared gradient at a token of a random sum of the model's outputs, on average over the images: to
    first order what an error there does to them (M. F. Hutchinson, Commun. Stat. Simul. 19, 1990, for
    the trace of J^T J). In a network that reads its class token alone, the others weigh exactly nothing
    behind the last attention. A module whose output is not (n, tokens, channels) has no entry.

    Args:
        pixels: images, (n, C, H, W).
    """
    taps: dict[str, Tensor] = {}

    def on_output(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 3:
                taps[name] = output

        return hook

    handles = [model.get_submodule(name).register_forward_hook(on_output(name)) for name in names]
    device = next(model.parameters()).device
    try:
        output = first_tensor(model(pixels.to(device, copy=True).requires_grad_()))
    finally:
        for handle in handles:
            handle.remove()
    if not taps:
        return {}
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(0)).to(device)
    seen = list(taps)
    gradients = torch.autograd.grad((output * direction).sum(), [taps[n] for n in seen], allow_unused=True)
    weights = {}
    for name, gradient in zip(seen, gradients, strict=True):
        if gradient is not None and bool((total := gradient.square().sum((0, 2))).any()):
            weights[name] = total / total.mean()
    return weights


def refit_weights(model: nn.Module, pixels: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """The weights of tokens in the refit of each named layer: :func:`token_weights` from below."""
    found = token_weights(model, pixels[:WEIGHED], names)
    return {name: weight.clamp(min=LEAST_WEIGHT) for name, weight in found.items()}
