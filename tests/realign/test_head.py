"""The head comes to the teacher's class probabilities, and no further than it knows better."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from hwnorm.realign.head import head_of, refit_head

Batch = tuple[Tensor, Tensor]


def _batches(count: int, seed: int, bent: Tensor) -> list[Batch]:
    """Inputs, and logits that no linear layer has: the layer that suits them most depends on the measure."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        x = torch.randn(100, 6, generator=generator)
        found.append((x, 3 * torch.tanh(x @ bent) + x @ bent))
    return found


@pytest.fixture
def bent() -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def layer(bent) -> nn.Linear:
    """The one of least squares."""
    x, logits = (torch.cat(parts) for parts in zip(*_batches(8, 0, bent), strict=True))
    solution = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1), logits).solution
    found = nn.Linear(6, 4)
    found.weight, found.bias = nn.Parameter(solution[:-1].T), nn.Parameter(solution[-1])
    return found


@torch.no_grad()
def _divergence(layer: nn.Linear, batches: list[Batch]) -> float:
    x, logits = (torch.cat(parts) for parts in zip(*batches, strict=True))
    log_p, log_q = logits.log_softmax(1), layer(x).log_softmax(1)
    return float((log_p.exp() * (log_p - log_q)).sum(1).mean())


def test_unseen_images_come_nearer_than_by_least_squares(layer, bent):
    batches, unseen = _batches(8, 0, bent), _batches(8, 1, bent)
    before = _divergence(layer, unseen)
    refit_head(layer, batches[:6], batches[6:])
    assert _divergence(layer, unseen) < 0.8 * before


def test_the_fit_is_the_least_penalised_divergence(layer, bent):
    """Another method, SciPy's BFGS on the same sum, finds nothing less."""
    batches = _batches(8, 0, bent)
    start = torch.cat([layer.weight.detach().T, layer.bias.detach()[None]]).double()
    x, logits = (torch.cat(parts).double() for parts in zip(*batches, strict=True))
    x = torch.cat([x, x.new_ones(len(x), 1)], 1)
    scale = float(x.square().mean())

    def loss(flat):
        weights = torch.from_numpy(flat).reshape(start.shape)
        log_p, log_q = logits.log_softmax(1), (x @ weights).log_softmax(1)
        penalty = 0.5e-3 * scale * (weights - start).square().sum()
        return float((log_p.exp() * (log_p - log_q)).sum(1).mean() + penalty)

    least = minimize(loss, start.flatten().numpy(), method="BFGS").fun
    refit_head(layer, batches, [])
    found = torch.cat([layer.weight.detach().T, layer.bias.detach()[None]]).double()
    assert loss(start.flatten().numpy()) > 1.05 * least
    assert loss(found.flatten().numpy()) < 1.0001 * least


def test_what_is_left_is_a_share_of_what_was_there_to_know(layer, bent):
    batches = _batches(8, 0, bent)
    left = refit_head(layer, batches[:6], batches[6:])
    logits = torch.cat([logits for _, logits in batches[6:]])
    p = logits.softmax(1)
    spread = float((p * (p / p.mean(0)).log()).sum(1).mean())
    assert left == pytest.approx(_divergence(layer, batches[6:]) / spread, rel=0.1)
    assert 0 < left < 1


def test_a_head_stays_where_every_step_is_worse_on_held_out_images(layer, bent):
    batches = _batches(4, 0, bent)
    before = layer.weight.detach().clone()
    # What is held out is just what the layer puts out already.
    with torch.no_grad():
        held = [(x, layer(x)) for x, _ in _batches(2, 1, bent)]
    refit_head(layer, batches, held)
    assert torch.equal(layer.weight, before)


def test_the_head_is_the_layer_that_puts_the_logits_out(small_vit):
    assert head_of(small_vit()) == "head"
    assert head_of(small_vit(num_classes=0)) is None
    followed = small_vit()
    followed.head = nn.Sequential(followed.head, nn.ReLU())
    assert head_of(followed) is None
