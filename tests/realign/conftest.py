"""The teacher of the tests of fine-tuning."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn


@pytest.fixture
def teacher(small_vit: Callable[..., nn.Module]) -> nn.Module:
    return small_vit()
