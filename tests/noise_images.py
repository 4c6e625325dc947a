"""Images of smooth noise for any model's input, with labels that mean nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnorm.data.config import input_config
from hwnorm.data.imageset import ImageSet


class NoiseImages(ImageSet):
    """``pixels`` is float32 (N, C, H, W)."""

    labelled = False

    def __init__(self, pixels: Tensor) -> None:
        self.pixels, self.description = pixels, f"{len(pixels)} images of noise"

    @classmethod
    def of(cls, model: nn.Module, count: int, seed: int) -> NoiseImages:
        channels, *size = input_config(model)["input_size"]
        coarse = torch.randn(count, channels, 8, 8, generator=torch.Generator().manual_seed(seed))
        return cls(F.interpolate(coarse, size, mode="bilinear"))

    def __len__(self) -> int:
        return len(self.pixels)

    def subset(self, indices: np.ndarray) -> NoiseImages:
        return NoiseImages(self.pixels[indices])

    @property
    def preparation(self) -> str:
        return "none"

    @property
    def fingerprint(self) -> str:
        return str(float(self.pixels.sum()))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for pixels in self.pixels.split(size):
            yield pixels, torch.arange(len(pixels)) % 2
