"""Run images through a model and keep what each norm does to its input, as small statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.network.norms import NormSite, device_of, example_images
from hwnorm.network.sensitivity import token_weights
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.progress import track

#: Points (elements of tokens) that a layer's statistics take from a batch, at most. Binning costs more a
#: point than a network does; a few hundred thousand tell all that a function of x can know.
POINTS = 1 << 14
#: Batches whose points are counted together, in half the time that each would take alone.
TOGETHER = 8


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
    behind the last attention, do not count at all. Memory a layer, however many images: its bins (some
    40 KiB, and 64 KiB to find them) and the points of ``TOGETHER`` batches (512 KiB); while they are counted
    about 40 bytes a point. The model is left as it was, whatever happens.

    Args:
        batch: images a forward pass.
        progress: label of the progress bar; None shows none.

    Returns:
        name -> profile, in the order of ``sites``.

    Raises:
        InputError: an activation is NaN or infinite (names the layer).
    """
    device = device_of(model)
    weights = token_weights(model, example_images(model), [site.name for site in sites])
    read = {name: weight > 0 for name, weight in weights.items() if not weight.all()}
    recorders = [_Recorder(site, read.get(site.name)) for site in sites]
    handles = []
    try:
        for recorder in recorders:
            handles.append(model.get_submodule(recorder.site.name).register_forward_hook(recorder))
        steps = images.batches(batch)
        for pixels, _ in track(steps, progress, -(-len(images) // batch)) if progress else steps:
            model(pixels.to(device))
    finally:
        for handle in handles:
            handle.remove()
    return {recorder.site.name: recorder.finish() for recorder in recorders}


class _Recorder:
    """The forward hook that profiles one norm, of whose tokens those in ``read`` count (None: all)."""

    def __init__(self, site: NormSite, read: Tensor | None) -> None:
        self.site, self._read = site, read
        # In one place from the start: samples between activations keep the heap from shrinking.
        self._waiting = torch.empty(TOGETHER * -(-POINTS // site.channels), site.channels)
        self._tokens = self._images = self._batches = 0

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x = inputs[0] if self._read is None else inputs[0][:, self._read]
        low, high = map(float, torch.aminmax(_as_stored(x)))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError(
                f"layer {self.site.name!r}: its input holds NaN or infinity; finite activations are needed"
            )
        tokens = x.movedim(self.site.axis, -1)
        step = -(-tokens.numel() // POINTS)
        # Another first token each time, so that no position of the image is left out.
        picked = np.arange(self._batches % step, tokens.shape[:-1].numel(), step)
        places = np.unravel_index(picked, tokens.shape[:-1])
        sample = tokens[tuple(map(torch.from_numpy, places))].float().cpu()
        if not self._batches:
            self._profile = LayerProfile.empty(self.site.channels, bin_edges(sample))
        profile = self._profile
        profile.x_min, profile.x_max = min(profile.x_min, low), max(profile.x_max, high)
        if self._tokens + len(sample) > len(self._waiting):
            self._count()
        self._waiting[self._tokens : self._tokens + len(sample)] = sample
        self._tokens += len(sample)
        self._images += len(x)
        self._batches += 1

    def _count(self) -> None:
        sample = self._waiting[: self._tokens]
        self._profile.update(sample, replace(self.site, axis=-1).normalize(sample), self._images)
        self._tokens = self._images = 0

    def finish(self) -> LayerProfile:
        """The profile of all batches."""
        self._count()
        return self._profile


def _as_stored(x: Tensor) -> Tensor:
    """A view with the axes in the order of memory: there a reduction is several times as fast."""
    return x.permute(sorted(range(x.ndim), key=x.stride, reverse=True))
