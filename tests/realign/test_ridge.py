"""Ridge regression from accumulated sums equals the direct solution."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.realign.ridge import Ridge


@pytest.mark.parametrize("bias", [True, False])
def test_sums_over_batches_recover_a_linear_map(bias):
    torch.manual_seed(0)
    linear, truth = nn.Linear(6, 4, bias=bias), nn.Linear(6, 4)
    fit = Ridge(linear, 1e-9)
    for _ in range(3):
        x = torch.randn(5, 7, 6)
        fit.add(x, truth(x).detach())
    fit.solve()
    torch.testing.assert_close(linear.weight, truth.weight, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(linear.bias, truth.bias, rtol=1e-5, atol=1e-5)


def test_the_penalty_draws_towards_the_weights_at_hand():
    torch.manual_seed(0)
    x, target = torch.randn(50, 6), torch.randn(50, 4)
    linear = nn.Linear(6, 4)
    start = torch.cat([linear.weight.T, linear.bias[None]]).detach().double()
    fit = Ridge(linear, 0.1)
    fit.add(x, target)
    fit.solve()
    got = torch.cat([linear.weight.T, linear.bias[None]]).detach().double()
    # At the minimum the gradient X^T (X W - T) + lambda (W - W0) is zero.
    design = torch.cat([x, torch.ones(50, 1)], 1).double()
    penalty = 0.1 * (design.T @ design).diagonal().mean()
    gradient = design.T @ (design @ got - target.double()) + penalty * (got - start)
    assert float(gradient.abs().max()) < 1e-4
