"""Run images through a model and keep what each norm does to its input, as small statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnorm.data.images import ImageSet
from hwnorm.errors import InputError
from hwnorm.norms import NormSite
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.progress import track


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

    The bins come from the first batch, which should therefore be a fair sample. Memory does not grow
    with the number of images. The model is left as it was, whatever happens.

    Args:
        batch: images a forward pass.
        progress: label of the progress bar; None shows none.

    Returns:
        name -> profile, in the order of ``sites``.

    Raises:
        InputError: an activation is NaN or infinite (names the layer).
    """
    profiles: dict[str, LayerProfile] = {}

    def hook_for(site: NormSite) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            x = inputs[0].float()
            if not all(map(torch.isfinite, torch.aminmax(x))):
                raise InputError(
                    f"layer {site.name!r}: its input holds NaN or infinity; finite activations are needed"
                )
            y = F.layer_norm(x, (site.channels,), eps=site.eps)
            if site.name not in profiles:
                profiles[site.name] = LayerProfile.empty(site.channels, bin_edges(x))
            profiles[site.name].update(x, y, images=len(x))

        return hook

    handles = []
    try:
        for site in sites:
            handles.append(model.get_submodule(site.name).register_forward_hook(hook_for(site)))
        steps = images.batches(batch)
        for pixels, _ in track(steps, progress, -(-len(images) // batch)) if progress else steps:
            model(pixels)
    finally:
        for handle in handles:
            handle.remove()
    return {site.name: profiles[site.name] for site in sites}
