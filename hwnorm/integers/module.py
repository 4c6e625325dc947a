"""An integer network as a PyTorch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwnorm.integers.network import IntegerNetwork


class IntegerModule(nn.Module):
    """The values of an integer network's logits, for normalized images (n, C, H, W): float64 (n, classes).

    Without gradients: every step is exact, in integers.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        codes = self.network.evaluate(images.detach().cpu().numpy())
        return torch.from_numpy(self.network.output.to_float(codes)).to(images.device)
