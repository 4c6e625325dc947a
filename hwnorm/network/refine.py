"""A linear layer's weights where each value of its output weighs by itself: by conjugate gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hwnorm.network.ridge import USUAL_STRENGTH, give_weights, weights_of, with_ones

#: Steps from the solution whose tokens weigh alike in all outputs: each makes the error some four times less.
STEPS = 4
#: Pull towards that solution, a share of what the tokens at hand say themselves: it has seen more of them.
PULL = 0.1
#: Tokens that are worked on together: few enough for a core's own cache.
_CHUNK = 1024


class Rows(NamedTuple):
    """Of some tokens the layer's input (n, inputs), wanted output (n, outputs) and weights of its values."""

    x: Tensor
    target: Tensor
    weight: Tensor


@torch.no_grad()
def refine(layer: nn.Linear, batches: Sequence[Rows]) -> None:
    """Move weight and bias towards the least sum of weight * (layer(x) - target)^2.

    Every output has a matrix X^T diag(w) X of its own, too many to build: the normal equations are solved
    for the step from the layer's weights by conjugate gradients (M. R. Hestenes, E. Stiefel, J. Res. Natl.
    Bur. Stand. 49, 1952), each output by itself, preconditioned by X^T X. Time: (STEPS + 1) products of the
    tokens with the weights and back.
    """
    x = with_ones(torch.cat([rows.x for rows in batches]))
    target, weight = torch.cat([r.target for r in batches]), torch.cat([r.weight for r in batches])
    parts: list[tuple[Tensor, Tensor, Tensor]] = list(
        zip(*(torch.split(whole, _CHUNK) for whole in (x, target, weight)), strict=True)
    )
    start = weights_of(layer)
    gram = (x.T @ x).double()
    damping = USUAL_STRENGTH * float(gram.diagonal().mean())
    gram.diagonal().add_(damping)
    factor = torch.linalg.cholesky((1 + PULL) * gram)
    pull = PULL * gram.to(x.dtype)

    def product(step: Tensor) -> Tensor:
        weighed = sum(a.T @ (w.to(a.dtype) * (a @ step)) for a, _, w in parts)
        return weighed + pull @ step + damping * step

    def solve(rest: Tensor) -> Tensor:
        return torch.cholesky_solve(rest.double(), factor).to(rest.dtype)

    rest = sum(a.T @ (w.to(a.dtype) * (t - a @ start)) for a, t, w in parts)
    assert isinstance(rest, Tensor)
    total = torch.zeros_like(start)
    near = solve(rest)
    direction, size = near, (rest * near).sum(0)
    for _ in range(STEPS):
        along = product(direction)
        length = size / (direction * along).sum(0).clamp(min=1e-30)
        total += length * direction
        rest = rest - length * along
        near = solve(rest)
        size, before = (rest * near).sum(0), size
        direction = near + size / before.clamp(min=1e-30) * direction
    give_weights(layer, start + total)
