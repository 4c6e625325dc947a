"""More images to fit to, without labels: the same ones mirrored and shifted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hwnorm.data.imageset import ImageSet
from hwnorm.files import digest


class VariedImages(ImageSet):
    """Each image four times: as it is, mirrored, shifted by a pixel, and mirrored and shifted back.

    For fits to a teacher's activations, which need no labels; never for measuring.
    """

    copies = 4

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        self.description = f"{images.description}, each also mirrored and shifted"

    def __len__(self) -> int:
        return 4 * len(self._images)

    def subset(self, indices: np.ndarray) -> VariedImages:
        """The four of each image of which one is at ``indices``."""
        return VariedImages(self._images.subset(np.unique(np.asarray(indices) // 4)))

    @property
    def preparation(self) -> str:
        return self._images.preparation

    @property
    def fingerprint(self) -> str:
        return digest("varied", self._images.fingerprint)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self._images.batches(size):
            mirrored = images.flip(-1)
            yield images, labels
            yield mirrored, labels
            yield torch.roll(images, (1, 1), (-1, -2)), labels
            yield torch.roll(mirrored, (-1, -1), (-1, -2)), labels
