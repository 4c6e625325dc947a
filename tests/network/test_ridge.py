"""Ridge regression from accumulated sums equals the direct solution."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.network.ridge import STRENGTHS, USUAL_STRENGTH, Ridge, _strength


@pytest.mark.parametrize("bias", [True, False])
def test_sums_over_batches_recover_a_linear_map(bias):
    torch.manual_seed(0)
    linear, truth = nn.Linear(6, 4, bias=bias), nn.Linear(6, 4)
    fit = Ridge(linear)
    for i in range(4):
        x = torch.randn(50, 7, 6)
        fit.add(x, truth(x).detach(), held=i == 3)
    left = fit.solve()
    # The weakest penalty moves the weights by a thousandth of their way.
    torch.testing.assert_close(linear.weight, truth.weight, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(linear.bias, truth.bias, rtol=1e-3, atol=2e-3)
    assert left < 1e-5


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"padding": 1, "dilation": 2}, {"padding": (1, 0)}], ids=str
)
def test_convolutions_are_linear_in_their_windows(options):
    torch.manual_seed(0)
    truth, conv = (nn.Conv2d(3, 5, (3, 2), **options) for _ in range(2))
    fit = Ridge(conv)
    for i in range(4):
        x = torch.randn(20, 3, 9, 8)
        fit.add(x, truth(x).detach(), held=i == 3)
    fit.solve()
    torch.testing.assert_close(conv.weight, truth.weight, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(conv.bias, truth.bias, rtol=1e-3, atol=2e-3)


def test_the_penalty_draws_towards_the_weights_at_hand():
    """Without held-out rows the usual strength is taken, and the gradient at the minimum is zero."""
    torch.manual_seed(0)
    x, target = torch.randn(50, 6), torch.randn(50, 4)
    linear = nn.Linear(6, 4)
    start = torch.cat([linear.weight.T, linear.bias[None]]).detach().double()
    fit = Ridge(linear)
    fit.add(x, target)
    fit.solve()
    got = torch.cat([linear.weight.T, linear.bias[None]]).detach().double()
    # X^T (X W - T) + lambda (W - W0) = 0.
    design = torch.cat([x, torch.ones(50, 1)], 1).double()
    penalty = USUAL_STRENGTH * (design.T @ design).diagonal().mean()
    gradient = design.T @ (design @ got - target.double()) + penalty * (got - start)
    assert float(gradient.abs().max()) < 1e-4


@pytest.mark.parametrize(("noise", "strong"), [(30.0, True), (0.0, False)])
def test_the_strength_is_the_one_that_does_best_on_held_out_rows(noise, strong):
    """Where the targets are the present weights' and noise, staying is best; without noise, fitting is."""
    torch.manual_seed(0)
    linear = nn.Linear(40, 3)
    other = nn.Linear(40, 3)
    start = linear.weight.detach().clone()
    fit = Ridge(linear)
    for i in range(4):
        x = torch.randn(15, 40)
        clean = linear(x) if strong else other(x)
        fit.add(x, (clean + noise * torch.randn(15, 3)).detach(), held=i == 3)
    w0 = torch.cat([linear.weight.T, linear.bias[None]]).detach().double()
    chosen, _ = _strength(fit.fit, fit.held, w0)
    assert (chosen == STRENGTHS[-1]) if strong else (chosen == STRENGTHS[0])
    fit.solve()
    # Noise of this size moves the weights by far more where nothing holds them.
    moved = float((linear.weight.detach() - start).norm())
    free = float(torch.linalg.lstsq(fit.fit.gram, fit.fit.cross).solution[:-1].sub(start.T).norm())
    assert (moved < 0.3 * free) if strong else (moved > 0.9 * free)
