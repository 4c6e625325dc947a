"""Accuracy counts what is right, and its interval is Wilson's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.data.images import load_images
from hwnorm.evaluate import Accuracy, top1


def test_interval_is_wilsons():
    # Textbook value: 8 of 10 gives 49.0 to 94.3 %.
    low, high = Accuracy(8, 10).interval
    assert low == pytest.approx(49.016, abs=1e-3)
    assert high == pytest.approx(94.332, abs=1e-3)
    assert Accuracy(10, 10).interval[1] == pytest.approx(100.0)
    assert Accuracy(0, 10).interval[0] == pytest.approx(0.0, abs=1e-9)


class _AlwaysThree(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.eye(10)[3].expand(len(x), 10)


def test_top1_counts_every_image_once(small_vit):
    images = load_images(None, "test", small_vit())
    accuracy = top1(_AlwaysThree(), images, batch=300)
    assert accuracy == Accuracy(200, 2000)
    assert str(accuracy).startswith("10.00 % (")
