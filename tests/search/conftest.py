"""Profiles of layers that do what a known function does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from hwnorm.expression import parse
from hwnorm.profile import LayerProfile, bin_edges


@pytest.fixture(scope="session")
def profile_of() -> Callable[..., LayerProfile]:
    """Build the profile of a layer with y = f(x) + noise over normally distributed x."""

    def build(expression: str, noise: float = 0.0, scale: float = 1.5, points: int = 20_000) -> LayerProfile:
        generator = torch.Generator().manual_seed(1)
        x = scale * torch.randn(points // 50, 50, generator=generator)
        y = parse(expression).to_module()(x) + noise * torch.randn(x.shape, generator=generator)
        profile = LayerProfile.empty(50, bin_edges(x))
        profile.update(x, y, images=1)
        return profile

    return build
