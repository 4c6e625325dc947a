"""What a network's output depends on: the tokens, and in them the values, that a stand-in should suit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.network.norms import device_of, first_tensor, tapped
from hwnorm.progress import track

#: Images from which the weights of a place come, and the least: what nothing reads keeps its scale.
WEIGHED, LEAST_WEIGHT = 32, 1e-3
#: Images whose gradients are found together.
_TOGETHER = 50
#: Squared gradients are raised to this power, and none counts less than this share of their mean: a gradient
#: holds near the teacher's own values alone, and the student is not there yet.
_SOFTENED, _LEAST_SHARE = 0.7, 0.01
#: So many weights of single values are kept at most, two bytes each.
MOST_VALUES = 2**29


@torch.enable_grad()
def token_weights(model: nn.Module, pixels: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Of each named module that puts out tokens, the weight of each: float32 (tokens,), 1 on average.

    The squared gradient at a token of a random sum of the model's outputs, on average over the images: to
    first order what an error there does to them (M. F. Hutchinson, Commun. Stat. Simul. 19, 1990, for
    the trace of J^T J). In a network that reads its class token alone, the others weigh exactly nothing
    behind the last attention. A module whose output is not (n, tokens, channels) has no entry.

    Args:
        pixels: images, (n, C, H, W), or what else the model takes, (n, ...).
    """
    with tapped(model, names) as taps:
        output = first_tensor(model(pixels.to(device_of(model))))
    taps = {name: tap for name, tap in taps.items() if tap.ndim == 3}
    weights = {}
    for name, gradient in _gradients(output, taps, torch.Generator().manual_seed(0)).items():
        if gradient is not None and bool((total := gradient.square().sum((0, 2))).any()):
            weights[name] = total / total.mean()
    return weights


def refit_weights(model: nn.Module, pixels: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """The weights of tokens in the refit of each named layer: :func:`token_weights` from below."""
    found = token_weights(model, pixels[:WEIGHED], names)
    return {name: weight.clamp(min=LEAST_WEIGHT) for name, weight in found.items()}


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Weights of a network's pre-activations in a refit, batch by batch of the images.

    ``tokens`` holds for each layer and batch the weight of each token, float32 (tokens,), 1 on average
    over all; ``values`` for some batches, by their number, that of each value, bfloat16 (tokens, outputs), 1
    on average for each output.
    """

    tokens: dict[str, list[Tensor]]
    values: dict[str, dict[int, Tensor]]


@torch.enable_grad()
def sensitivity(
    model: nn.Module,
    images: ImageSet,
    batch: int,
    names: Sequence[str],
    valued: Sequence[str],
    progress: str | None = None,
) -> Sensitivity:
    """The weights of what modules put out, for each image its own: squared gradients, softened.

    As :func:`token_weights`, with one random sum of the outputs for each image.

    Args:
        batch: images of a batch.
        names: modules with outputs (n, ..., channels), three axes or more; others have no entries.
        valued: those of them of which the weights of single values are wanted.
        progress: label of the progress bar; None shows none.
    """
    squares: dict[str, list[Tensor]] = {}
    values: dict[str, dict[int, Tensor]] = {}
    generator = torch.Generator().manual_seed(0)
    stride, count = 0, -(-len(images) // batch)
    batches = track(images.batches(batch), progress, count) if progress else images.batches(batch)
    for i, (pixels, _) in enumerate(batches):
        found: dict[str, list[Tensor]] = {}
        for part in torch.split(pixels, _TOGETHER):
            with tapped(model, names) as taps:
                output = first_tensor(model(part.to(device_of(model))))
            taps = {name: tap for name, tap in taps.items() if tap.ndim > 2}
            for name, gradient in _gradients(output, taps, generator).items():
                if gradient is not None:
                    found.setdefault(name, []).append(gradient.reshape(-1, gradient.shape[-1]).square())
        whole = {name: torch.cat(parts) for name, parts in found.items()}
        if not stride:
            kept = MOST_VALUES // max(1, sum(whole[name].numel() for name in valued if name in whole))
            stride = -(-count // kept) if kept else count + 1
        for name, square in whole.items():
            squares.setdefault(name, []).append(square.sum(1))
            if name in valued and (i + 1) % stride == 0:
                values.setdefault(name, {})[i] = square.bfloat16()
    for name in values:
        of = values[name]
        values[name] = dict(zip(of, _softened(list(of.values())), strict=True))
    return Sensitivity({name: _softened(found) for name, found in squares.items()}, values)


def _softened(squares: list[Tensor]) -> list[Tensor]:
    """Weights of squared gradients (tokens,) or (tokens, outputs): 1 on average along the first axis."""
    whole = torch.cat(squares).float()
    whole /= whole.mean(0).clamp(min=1e-30)
    whole.pow_(_SOFTENED)
    whole /= whole.mean(0).clamp(min=1e-30)
    whole = whole.clamp_(min=_LEAST_SHARE).to(squares[0].dtype)
    return list(torch.split(whole, [len(square) for square in squares]))


def _gradients(
    output: Tensor, taps: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor | None]:
    """Those of a random sum of the output; None where it does not depend on a tap."""
    if not taps:
        return {}
    direction = torch.randn(output.shape, generator=generator).to(output.device)
    found = torch.autograd.grad((output * direction).sum(), list(taps.values()), allow_unused=True)
    return dict(zip(taps, found, strict=True))
