"""What every source of labelled images offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal

import numpy as np
from torch import Tensor

Split = Literal["train", "test"]


class ImageSet(ABC):
    """Labelled images, prepared for one model and handed out in batches."""

    #: Where the images come from, for people.
    description: str
    #: So many batches in succession are of the same images, changed.
    copies: int = 1
    #: Whether the labels mean anything.
    labelled: bool = True
    #: How labels were numbered, for people; empty where the images' file says it.
    numbered: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def subset(self, indices: np.ndarray) -> ImageSet:
        """The images at ``indices`` (int64), in that order."""

    def limited(self, count: int) -> ImageSet:
        """The first ``count`` images, or all where there are fewer."""
        return self.subset(np.arange(min(count, len(self))))

    def example(self) -> Tensor:
        """The first images, at most two, as :meth:`batches` gives them: what a network is traced by."""
        pixels, _ = next(self.limited(2).batches(2))
        return pixels

    @property
    @abstractmethod
    def preparation(self) -> str:
        """What is done to an image before the network gets it, for people."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the images and labels."""

    @abstractmethod
    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalized images, float32 (n, C, H, W), and labels, int64 (n,), with n <= ``size``.

        For a network that takes no images what it does take: (n, ...), of numbers of tokens int64.
        """
