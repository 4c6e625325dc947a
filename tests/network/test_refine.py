"""Refinement finds the layer whose values weigh as they were told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hwnorm.network.refine import Rows, refine


@pytest.fixture
def problem() -> tuple[nn.Linear, Rows]:
    """Outputs bent in each of their own way: which values weigh decides which line is best."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 5, generator=generator)
    target = torch.tanh(2 * x @ torch.randn(5, 4, generator=generator))
    weight = torch.rand(600, 4, generator=generator).pow(4).clamp(min=0.02)
    weight = (weight / weight.mean(0)).bfloat16()
    layer = nn.Linear(5, 4)
    rows = torch.cat([x, torch.ones(600, 1)], dim=1)
    solution = torch.linalg.lstsq(rows, target).solution
    layer.weight, layer.bias = nn.Parameter(solution[:-1].T), nn.Parameter(solution[-1])
    return layer, Rows(x, target, weight)


def _error(layer: nn.Linear, rows: Rows) -> Tensor:
    with torch.no_grad():
        return (rows.weight.float() * (layer(rows.x) - rows.target).square()).sum(0)


def _least(rows: Rows) -> Tensor:
    """The least error of each output, by its own normal equations."""
    x = torch.cat([rows.x, torch.ones(len(rows.x), 1)], dim=1)
    found = []
    for target, weight in zip(rows.target.T, rows.weight.float().T, strict=True):
        root = weight.sqrt()
        line = torch.linalg.lstsq(x * root[:, None], (target * root)[:, None]).solution[:, 0]
        found.append((weight * (x @ line - target).square()).sum())
    return torch.stack(found)


def test_each_output_comes_near_its_own_least_error(problem):
    """Nine tenths of what the solution with equal weights loses are won back; the pull keeps some."""
    layer, rows = problem
    before, least = _error(layer, rows), _least(rows)
    assert (before > 1.01 * least).all()
    refine(layer, [rows])
    assert (_error(layer, rows) - least < 0.1 * (before - least)).all()


def test_batches_are_one_problem(problem):
    layer, rows = problem
    other = nn.Linear(5, 4)
    other.load_state_dict(layer.state_dict())
    refine(layer, [rows])
    refine(other, [Rows(*(part[at] for part in rows)) for at in (slice(0, 250), slice(250, None))])
    torch.testing.assert_close(layer.weight, other.weight)
    torch.testing.assert_close(layer.bias, other.bias)


def test_equal_weights_leave_the_solution_alone(problem):
    layer, rows = problem
    before = layer.weight.clone()
    refine(layer, [rows._replace(weight=torch.ones_like(rows.weight))])
    torch.testing.assert_close(layer.weight.detach(), before.detach(), atol=1e-5, rtol=0)


def test_a_layer_without_bias_gets_one(problem):
    layer, rows = problem
    bare = nn.Linear(5, 4, bias=False)
    bare.weight = layer.weight
    refine(bare, [rows._replace(target=rows.target + 3)])
    assert (bare.bias > 2).all()
