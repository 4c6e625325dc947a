"""Cuts are the modules that everything passes."""

from __future__ import annotations

import torch
from torch import nn

from hwnorm.network.cuts import find_cuts


class _Shortcut(nn.Module):
    """A second path around a block of the model, so that the block is no cut."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor, **kwargs: object) -> torch.Tensor:
        return self.block(x, **kwargs) + x


def test_cuts_are_what_all_paths_pass(small_vit):
    model = small_vit(depth=3)
    model.blocks[1] = _Shortcut(model.blocks[1])
    assert find_cuts(model) == [
        *("patch_embed.proj", "patch_embed"),
        *("blocks.0", "blocks.1", "blocks.2", "blocks"),
        *("norm", "head"),
    ]
