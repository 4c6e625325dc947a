"""The model and the images that a run starts from."""

from __future__ import annotations

import re
from functools import cached_property

import torch
from torch import nn

from hwnorm.data.config import input_config
from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.files import digest
from hwnorm.network.models import load_model, model_arguments
from hwnorm.runs.products import Need
from hwnorm.runs.settings import RunSettings


class Inputs:
    """Loaded when first asked for, and then kept: several stages of one run need them.

    Args:
        model: the network, where it is loaded already.
    """

    def __init__(self, settings: RunSettings, model: nn.Module | None = None) -> None:
        self.settings = settings
        if model is not None:
            self.model = model

    @cached_property
    def model(self) -> nn.Module:
        """The trained network, in evaluation mode."""
        s = self.settings
        return load_model(s.model, s.weights, s.image_size, **model_arguments(s.model_args))

    @property
    def pixels(self) -> int:
        """Of one image that goes into the network."""
        _, height, width = input_config(self.model)["input_size"]
        return int(height * width)

    @cached_property
    def training_images(self) -> ImageSet:
        """What capture and re-alignment may look at."""
        images = load_images(self.settings.data, "train", self.model, self.settings.classes)
        return images.limited(self.settings.images)

    @cached_property
    def test_images(self) -> ImageSet:
        """What accuracies are measured on, and nothing else."""
        return load_images(self.settings.data, "test", self.model, self.settings.classes)

    def digest(self, need: Need) -> str:
        """Hash of something that artefacts depend on: its content, wherever it lies."""
        match need:
            case "model":
                return self._network
            case "training_images":
                return self._images(self.training_images)
            case "test_images":
                return self._images(self.test_images)
        raise ValueError(f"{need}: is no input of a run")

    @staticmethod
    def _images(images: ImageSet) -> str:
        """Of images, and of what was done to them."""
        return digest(images.preparation, images.fingerprint)

    @cached_property
    def _network(self) -> str:
        """Of the network's weights, and of how images are prepared for it."""
        weights = [
            digest(name, value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
            for name, value in self.model.state_dict().items()
        ]
        # Shapes and weights do not tell everything of a network: heads and strides are in its name.
        network = self.settings.model, re.sub(r" at 0x[0-9a-f]+", "", str(self.model))
        config = {name: str(value) for name, value in input_config(self.model).items()}
        return digest(network, weights, config)
