"""Run images through a model and keep what each norm does to its input, as small statistics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.norms import NormSite, example_images
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.progress import track
from hwnorm.sensitivity import token_weights

#: Points (elements of tokens) that a layer's statistics take from a batch, at most. Binning costs more a
#: point than a network does; a few hundred thousand tell all that a function of x can know.
POINTS = 1 << 14


@torch.no_grad()
def capture(
    model: nn.Module,
    images: ImageSet,
    sites: Sequence[NormSite],
    *,
    batch: int = 100,
    progress: str | None = None,
) -> dict[str, LayerProfile]:
    """Profile the norms of ``model`` (in evaluation mode) over ``images``, in one pass.

    The bins come from the first batch, which should therefore be a fair sample. Of large batches every
    k-th token counts, such that a layer gets about ``POINTS`` points of each; ranges and the check for NaN
    see all of them. Tokens that the network's output does not depend on, as those beside the class token
    behind the last attention, do not count at all. Memory a layer: its bins (some 40 KiB), however many
    images, and about 40 bytes a point while a batch is counted. The model is left as it was, whatever
    happens.

    Args:
        batch: images a forward pass.
        progress: label of the progress bar; None shows none.

    Returns:
        name -> profile, in the order of ``sites``.

    Raises:
        InputError: an activation is NaN or infinite (names the layer).
    """
    profiles: dict[str, LayerProfile] = {}
    seen: Counter[str] = Counter()
    device = next(model.parameters()).device
    weights = token_weights(model, example_images(model), [site.name for site in sites])
    read = {name: weight > 0 for name, weight in weights.items() if not weight.all()}

    def hook_for(site: NormSite) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            x = inputs[0][:, read[site.name]] if site.name in read else inputs[0]
            low, high = map(float, torch.aminmax(_as_stored(x)))
            if not (math.isfinite(low) and math.isfinite(high)):
                raise InputError(
                    f"layer {site.name!r}: its input holds NaN or infinity; finite activations are needed"
                )
            tokens = x.movedim(site.axis, -1)
            step = -(-tokens.numel() // POINTS)
            # Another first token each time, so that no position of the image is left out.
            picked = torch.arange(seen[site.name] % step, tokens.shape[:-1].numel(), step, device=x.device)
            sample = tokens[torch.unravel_index(picked, tokens.shape[:-1])].float().cpu()
            seen[site.name] += 1
            if site.name not in profiles:
                profiles[site.name] = LayerProfile.empty(site.channels, bin_edges(sample))
            profile = profiles[site.name]
            profile.update(sample, replace(site, axis=-1).normalize(sample), images=len(x))
            profile.x_min, profile.x_max = min(profile.x_min, low), max(profile.x_max, high)

        return hook

    handles = []
    try:
        for site in sites:
            handles.append(model.get_submodule(site.name).register_forward_hook(hook_for(site)))
        steps = images.batches(batch)
        for pixels, _ in track(steps, progress, -(-len(images) // batch)) if progress else steps:
            model(pixels.to(device))
    finally:
        for handle in handles:
            handle.remove()
    return {site.name: profiles[site.name] for site in sites}


def _as_stored(x: Tensor) -> Tensor:
    """A view with the axes in the order of memory: there a reduction is several times as fast."""
    return x.permute(sorted(range(x.ndim), key=x.stride, reverse=True))
