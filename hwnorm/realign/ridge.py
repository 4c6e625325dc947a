"""Ridge regression from sums: memory of a layer's width squared, however many tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ridge:
    """Refits a linear layer to targets, drawn towards the weights that it has.

    Minimises ||X W - T||^2 + lambda ||W - W0||^2 over W, the weights with the bias as last row, with
    lambda = ``strength`` times the mean diagonal of X^T X; the solution is that of the normal
    equations (X^T X + lambda I) W = X^T T + lambda W0.
    """

    def __init__(self, linear: nn.Linear, strength: float) -> None:
        self.linear, self.strength = linear, strength
        size = linear.in_features + 1
        self.gram = torch.zeros(size, size, dtype=torch.float64)
        self.cross = torch.zeros(size, linear.out_features, dtype=torch.float64)

    def add(self, x: Tensor, target: Tensor) -> None:
        """Add a batch: x is (..., in_features), target (..., out_features)."""
        rows = x.reshape(-1, x.shape[-1]).double()
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
        self.gram.addmm_(rows.T, rows)
        self.cross.addmm_(rows.T, target.reshape(-1, target.shape[-1]).double())

    @torch.no_grad()
    def solve(self) -> None:
        """Give the layer its new weight and bias."""
        linear = self.linear
        start = torch.zeros_like(self.cross)
        start[:-1] = linear.weight.double().T
        if linear.bias is not None:
            start[-1] = linear.bias.double()
        penalty = self.strength * self.gram.diagonal().mean()
        gram = self.gram + penalty * torch.eye(len(self.gram), dtype=torch.float64)
        solution = torch.linalg.solve(gram, self.cross + penalty * start).to(linear.weight.dtype)
        linear.weight = nn.Parameter(solution[:-1].T.contiguous())
        linear.bias = nn.Parameter(solution[-1].clone())
