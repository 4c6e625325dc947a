"""What is given up first costs least: held against trying it."""

from __future__ import annotations

import pytest
import torch

from hwnorm.supernet.importance import DAMPING, elimination


def loss_without(gram: torch.Tensor, weight: torch.Tensor, metric: torch.Tensor, left: list[int]) -> float:
    """The least error of Y = X W with some inputs alone, from the normal equations."""
    gram = gram + DAMPING * gram.diagonal().mean() * torch.eye(len(gram))
    best = torch.zeros_like(weight)
    best[left] = torch.linalg.solve(gram[left][:, left], gram[left] @ weight)
    error = weight - best
    return float(((gram @ error) * (error @ metric)).sum())


@pytest.fixture
def layer() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, 8, generator=draw, dtype=torch.float64) @ torch.randn(
        8, 8, generator=draw, dtype=torch.float64
    )
    root = torch.randn(5, 5, generator=draw, dtype=torch.float64)
    return x.T @ x / 200, torch.randn(8, 5, generator=draw, dtype=torch.float64), root @ root.T


@pytest.mark.parametrize("size", [1, 2])
def test_each_step_gives_up_what_costs_least(
    layer: tuple[torch.Tensor, torch.Tensor, torch.Tensor], size: int
) -> None:
    """And what it says that this costs is what the error grows by."""
    gram, weight, metric = layer
    gram, weight = gram.float().double(), weight
    torch.set_default_dtype(torch.float64)
    try:
        order, paid = elimination([layer], size)
        parts = order.reshape(-1, size)[:, 0] // size
        left, before = list(range(8)), 0.0
        for part, cost in zip(reversed(parts.tolist()), reversed(paid.tolist()), strict=True):
            if len(left) == size:
                break
            options = {}
            for other in {i // size for i in left}:
                rest = [i for i in left if i // size != other]
                options[other] = loss_without(layer[0], weight, metric, rest)
            assert min(options, key=lambda p: options[p]) == part
            assert cost == pytest.approx(options[part] - before, rel=1e-6)
            before = options[part]
            left = [i for i in left if i // size != part]
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_nothing_reads_goes_first(layer: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    gram, weight, metric = layer
    weight = weight.clone()
    weight[3] = 0
    order, paid = elimination([(gram, weight, metric)])
    assert int(order[-1]) == 3
    assert float(paid[-1]) == 0.0


def test_two_readers_are_heard(layer: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    """A channel that one of them needs stays, though the other has no use for it."""
    gram, weight, metric = layer
    deaf = torch.zeros_like(weight)
    order, paid = elimination([(gram, deaf, metric), layer])
    alone, of_one = elimination([layer])
    assert torch.equal(order, alone)
    assert torch.allclose(paid, of_one)
