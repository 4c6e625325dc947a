"""The model and the images that a run starts from."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import nn

from hwnorm.data.config import input_config
from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.files import digest
from hwnorm.network.models import load_model
from hwnorm.run.settings import RunSettings


class Inputs:
    """Loaded when first asked for, and then kept: several stages of one run need them."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings

    @cached_property
    def model(self) -> nn.Module:
        """The trained network, in evaluation mode."""
        return load_model(self._settings.model, self._settings.weights, self._settings.image_size)

    @property
    def pixels(self) -> int:
        """Of one image that goes into the network."""
        _, height, width = input_config(self.model)["input_size"]
        return int(height * width)

    @cached_property
    def training_images(self) -> ImageSet:
        """What capture and re-alignment may look at."""
        images = load_images(self._settings.data, "train", self.model)
        return images.limited(self._settings.images)

    @cached_property
    def test_images(self) -> ImageSet:
        """What accuracies are measured on, and nothing else."""
        return load_images(self._settings.data, "test", self.model)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the network's weights and of the training images."""
        weights = [
            digest(name, value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
            for name, value in self.model.state_dict().items()
        ]
        return digest(weights, self.training_images.fingerprint)
