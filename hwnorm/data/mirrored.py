"""More images to fit to, without labels: the same ones mirrored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from hwnorm.data.imageset import ImageSet
from hwnorm.files import digest


class MirroredImages(ImageSet):
    """Each image twice: as it is, and mirrored.

    For fits to a teacher's activations, which need no labels; never for measuring.
    """

    copies = 2

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        self.description = f"{images.description}, each also mirrored"

    def __len__(self) -> int:
        return self.copies * len(self._images)

    def subset(self, indices: np.ndarray) -> MirroredImages:
        """Both of each image of which one is at ``indices``."""
        return MirroredImages(self._images.subset(np.unique(np.asarray(indices) // self.copies)))

    @property
    def preparation(self) -> str:
        return self._images.preparation

    @property
    def fingerprint(self) -> str:
        return digest("mirrored", self._images.fingerprint)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self._images.batches(size):
            yield images, labels
            yield images.flip(-1), labels
