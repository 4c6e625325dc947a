"""What every source of labelled images offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal

from torch import Tensor

Split = Literal["train", "test"]


class ImageSet(ABC):
    """Labelled images, prepared for one model and handed out in batches."""

    #: Where the images come from, for people.
    description: str

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def limited(self, count: int) -> ImageSet:
        """The first ``count`` images, or all where there are fewer."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the images and labels."""

    @abstractmethod
    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalized images, float32 (n, C, H, W), and labels, int64 (n,), with n <= ``size``."""
