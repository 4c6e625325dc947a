"""Fine-tuning through integers: the same roundings, gradients through them, and integers again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from integer.small_networks import images_for, integers_of, small
from torch import nn

from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IntegerNetwork
from hwnorm.integers.operations import IntegerAffine, IntegerLinear, IntegerNorm, Table
from hwnorm.integers.trainable import TrainableNetwork, rounded

#: With norms of heads, a class token, LayerScale, and an activation that no table of GELU is.
CHANGES = {"qk_norm": True, "init_values": 0.5, "act_layer": nn.ReLU}


@pytest.fixture(scope="module", params=[{}, CHANGES], ids=["plain", "changed"])
def model(request: pytest.FixtureRequest) -> nn.Module:
    return small(**request.param)


@pytest.fixture(scope="module")
def network(model: nn.Module) -> IntegerNetwork:
    return integers_of(model, images_for(model, 32)).network


def test_every_step_makes_the_integers_codes_or_their_neighbours(model, network):
    images = images_for(model, 8, seed=3).numpy()
    wanted = network.trace(images)
    trainable, formats = TrainableNetwork(network), network.formats
    for op, step in zip(network.operations, trainable.steps, strict=True):
        reads = [torch.from_numpy(formats[name].to_float(wanted[name])).float() for name in op.reads]
        with torch.no_grad():
            found = step(*reads).numpy() * 2.0**op.format.frac
        np.testing.assert_array_equal(found, np.round(found))
        apart = np.abs(found - wanted[op.out])
        assert apart.max() <= 1, op.out
        assert (apart > 0).mean() <= 0.05, op.out


def test_untrained_integers_are_the_same(network):
    """Codes, biases and tables come back, each of them."""
    again = TrainableNetwork(network).to_integers()
    fields = {
        IntegerLinear: ("weight", "bits", "bias", "multiplier"),
        IntegerAffine: ("multiplier", "bias"),
        IntegerNorm: ("gamma", "beta"),
        Table: ("codes",),
    }
    for old, new in zip(network.operations, again.operations, strict=True):
        for name in fields.get(type(old), ()):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name), err_msg=old.out)


def test_trained_integers_are_what_was_trained(model, network):
    """A few steps towards other labels: parameters of all kinds move, and the integers follow."""
    images = images_for(model, 64)
    labels = torch.arange(64) % 5
    trainable = TrainableNetwork(network)
    optimizer = torch.optim.AdamW(trainable.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(trainable(images), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in trainable.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    trained = trainable.to_integers()
    assert trained.formats == network.formats
    for old, new in zip(network.linears, trained.linears, strict=True):
        np.testing.assert_array_equal(old.bits, new.bits)
        most = (1 << (new.bits.astype(int) - 1)) - 1
        assert (np.abs(new.weight.astype(int)) <= most[:, None]).all()
    assert any(
        not np.array_equal(a.weight, b.weight) for a, b in zip(network.linears, trained.linears, strict=True)
    )
    exact = trained.output.to_float(trained.evaluate(images.numpy()))
    with torch.no_grad():
        apart = np.abs(trainable(images).numpy() - exact).max()
    before = network.output.to_float(network.evaluate(images.numpy()))
    assert apart < 0.25 * np.abs(exact - before).max()


def test_gradients_are_none_where_a_value_saturates():
    x = torch.tensor([-3.0, -0.3, 0.26, 2.0], requires_grad=True)
    fmt = FixedFormat(4, 2)
    found = rounded(x, fmt)
    assert found.tolist() == [-2.0, -0.25, 0.25, 1.75]
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
