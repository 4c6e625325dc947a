"""Run images through a model and keep what each norm does to its input, as small statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.network.norms import NormSite, device_of, example_arguments, first_tensor
from hwnorm.network.sensitivity import token_weights
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.progress import track

#: Points (elements of tokens) that a layer's statistics take from a batch, at most. Binning costs more a
#: point than a network does; a few hundred thousand tell all that a function of x can know.
POINTS = 3 << 14
#: Batches whose points are counted together, in half the time that each would take alone.
TOGETHER = 3
#: In double precision a network takes 2.5 times as long. So every k-th image counts, the k at most this ...
STRIDE = 3
#: ... and no larger than leaves so many images, where there are as many.
IMAGES = 500


@torch.no_grad()
def capture(
    model: nn.Module,
    images: ImageSet,
    sites: Sequence[NormSite],
    *,
    batch: int = 100,
    progress: str | None = None,
    example_inputs: Tensor | None = None,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> dict[str, LayerProfile]:
    """Profile the norms of ``model`` (in evaluation mode) over ``images``, in one pass.

    A copy of the model computes in double precision, and what it gives is rounded far above the digits in
    which machines differ (:meth:`LayerProfile.settle`): profiles are the same on all of them. A model that
    can be run in its own precision alone is; its profiles differ from machine to machine in some counts.
    Of many images every second or third counts (``STRIDE``, ``IMAGES``).

    The bins come from the first batch, which should therefore be a fair sample. Of large batches every
    k-th token counts, such that a layer gets about ``POINTS`` points of each; ranges and the check for NaN
    see all of them. Tokens that the network's output does not depend on, as those beside the class token
    behind the last attention, do not count at all. Memory beside the copy, a layer, however many images: its
    bins (some 40 KiB, and 64 KiB to find them) and the points of ``TOGETHER`` batches (1.2 MiB); while they
    are counted about 40 bytes a point. The model is left as it was, whatever happens.

    Args:
        batch: images a forward pass.
        progress: label of the progress bar; None shows none.
        example_inputs: some of what ``images`` give, where timm's data config does not tell what the model
            takes.
        watch: is given the model's output for each batch, and the batch's labels.

    Returns:
        name -> profile, in the order of ``sites``.

    Raises:
        InputError: an activation is NaN or infinite (names the layer), or nothing tells what the model takes.
    """
    device = device_of(model)
    (example,) = example_arguments(model, example_inputs)
    weights = token_weights(model, example, [site.name for site in sites])
    read = {name: weight > 0 for name, weight in weights.items() if not weight.all()}
    recorders = [_Recorder(site, read.get(site.name)) for site in sites]
    model, dtype = _in_double(model, example)
    counted = images.subset(np.arange(0, len(images), max(1, min(STRIDE, len(images) // IMAGES))))
    handles = []
    try:
        for recorder in recorders:
            handles.append(model.get_submodule(recorder.site.name).register_forward_hook(recorder))
        steps = counted.batches(batch)
        for pixels, labels in track(steps, progress, -(-len(counted) // batch)) if progress else steps:
            given = model(pixels.to(device, dtype) if pixels.is_floating_point() else pixels.to(device))
            if watch is not None:
                watch(first_tensor(given), labels)
    finally:
        for handle in handles:
            handle.remove()
    return {recorder.site.name: recorder.finish() for recorder in recorders}


def _in_double(model: nn.Module, example: Tensor) -> tuple[nn.Module, torch.dtype]:
    """A copy in double precision and its type; the model itself where it or its device has none."""
    try:
        wide = copy.deepcopy(model).double()
        wide(example.double() if example.is_floating_point() else example)
    except (RuntimeError, TypeError):  # a type that is fixed in its code; a device without float64
        return model, torch.float32
    return wide, torch.float64


class _Recorder:
    """The forward hook that profiles one norm, of whose tokens those in ``read`` count (None: all)."""

    def __init__(self, site: NormSite, read: Tensor | None) -> None:
        self.site, self._read = site, read
        # In one place from the start: samples between activations keep the heap from shrinking.
        self._waiting = torch.empty(
            TOGETHER * -(-POINTS // site.channels), site.channels, dtype=torch.float64
        )
        # What a norm over more than a token makes of these points, which they alone do not tell.
        self._normed = torch.empty_like(self._waiting) if site.whole else None
        self._tokens = self._images = self._batches = 0

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x = inputs[0] if self._read is None else inputs[0][:, self._read]
        low, high = map(float, torch.aminmax(_as_stored(x)))
        # What single precision cannot hold is an overflow there, where networks compute.
        if not max(-low, high) <= torch.finfo(torch.float32).max:
            raise InputError(
                f"layer {self.site.name!r}: its input holds NaN or infinity; finite activations are needed"
            )
        tokens = x.movedim(self.site.axis, -1)
        step = -(-tokens.numel() // POINTS)
        # Another first token each time, so that no position of the image is left out.
        picked = np.arange(self._batches % step, tokens.shape[:-1].numel(), step)
        places = np.unravel_index(picked, tokens.shape[:-1])
        at = tuple(map(torch.from_numpy, places))
        sample = tokens[at].double().cpu()
        if not self._batches:
            self._profile = LayerProfile.empty(self.site.channels, bin_edges(sample))
        profile = self._profile
        profile.x_min, profile.x_max = min(profile.x_min, low), max(profile.x_max, high)
        if self._tokens + len(sample) > len(self._waiting):
            self._count()
        self._waiting[self._tokens : self._tokens + len(sample)] = sample
        if self._normed is not None:
            y = self.site.normalize(inputs[0])
            y = (y if self._read is None else y[:, self._read]).movedim(self.site.axis, -1)
            self._normed[self._tokens : self._tokens + len(sample)] = y[at].double().cpu()
        self._tokens += len(sample)
        self._images += len(x)
        self._batches += 1

    def _count(self) -> None:
        sample = self._waiting[: self._tokens]
        normed = None if self._normed is None else self._normed[: self._tokens]
        if normed is None:
            normed = replace(self.site, axis=-1).normalize(sample)
        self._profile.update(sample, normed, self._images)
        self._tokens = self._images = 0

    def finish(self) -> LayerProfile:
        """The profile of all batches."""
        self._count()
        self._profile.settle()
        return self._profile


def _as_stored(x: Tensor) -> Tensor:
    """A view with the axes in the order of memory: there a reduction is several times as fast."""
    return x.permute(sorted(range(x.ndim), key=x.stride, reverse=True))
