"""Images in memory: the shipped subset, and what idx and npz files hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.files import digest


class ArrayImages(ImageSet):
    """Images in memory, brought to the model's size and channels batch by batch.

    Args:
        images: uint8, grey (N, height, width) or with channels (N, height, width, 1 or 3).
        labels: int64 (N,).
        config: the model's data config (``hwnorm.data.config.input_config``).
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, config: dict[str, Any], description: str
    ) -> None:
        self.images, self.labels, self.config = images, labels, config
        self.description = description

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> ArrayImages:
        return ArrayImages(self.images[indices], self.labels[indices], self.config, self.description)

    @property
    def preparation(self) -> str:
        channels, height, width = self.config["input_size"]
        size = f"{channels} x {height} x {width}"
        scaled = "" if self.images.shape[1:3] == (height, width) else " by bilinear interpolation, no crop"
        return f"{size}{scaled}; mean {_numbers(self.config['mean'])}, std {_numbers(self.config['std'])}"

    @property
    def fingerprint(self) -> str:
        return digest(self.images.tobytes(), self.labels.astype(np.int64).tobytes())

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        channels, height, width = self.config["input_size"]
        mean = torch.tensor(self.config["mean"]).view(-1, 1, 1)
        std = torch.tensor(self.config["std"]).view(-1, 1, 1)
        for start in range(0, len(self), size):
            pixels = torch.from_numpy(np.array(self.images[start : start + size]))
            pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
            scaled = pixels.float().div_(255.0)
            if channels == 1 and scaled.shape[1] > 1:
                scaled = scaled.mean(1, keepdim=True)
            if scaled.shape[2:] != (height, width):
                scaled = F.interpolate(scaled, (height, width), mode="bilinear", antialias=True)
            labels = torch.from_numpy(np.array(self.labels[start : start + size], dtype=np.int64))
            yield (scaled.expand(-1, channels, -1, -1) - mean) / std, labels


def check_labels(what: str, labels: np.ndarray, model: nn.Module) -> None:
    """See to it that each of some integer labels is a class of the model.

    Raises:
        InputError: one is not; the message begins with ``what``.
    """
    classes = getattr(model, "num_classes", 0)
    if classes and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"{what} runs from {labels.min()} to {labels.max()}; the model tells {classes} classes apart"
        )


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
