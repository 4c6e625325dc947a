"""The function that consumers want is found, and stands in a profile as y."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwnorm.choose.consumers import Line, alternate, as_profile, readings
from hwnorm.choose.network import Calibration, NetworkLoss
from hwnorm.profile import LayerProfile, bin_edges

TOKENS, CHANNELS = 2000, 12


@pytest.fixture
def x() -> Tensor:
    return torch.randn(TOKENS, CHANNELS, generator=torch.Generator().manual_seed(0)).double()


def _profile(x: Tensor) -> LayerProfile:
    """Of a LayerNorm over tokens, (n, channels)."""
    x = x.float()
    profile = LayerProfile.empty(x.shape[1], bin_edges(x))
    profile.update(x, nn.functional.layer_norm(x, x.shape[1:]), 1)
    return profile


def _error(values: Tensor, target: Tensor, weight: Tensor | None = None) -> float:
    """Of the linear layer of least squares, as a share of the target's square."""
    values, target = values.double(), target.double()
    root = torch.ones(len(values), 1).double() if weight is None else weight.sqrt()[:, None]
    rows = torch.cat([values, torch.ones(len(values), 1)], 1) * root
    left = rows @ torch.linalg.lstsq(rows, target * root).solution - target * root
    return float(left.square().sum() / (target * root).square().sum())


@pytest.mark.parametrize(
    "bent", [torch.sin, lambda t: (3 * t).tanh() + 0.3 * t, torch.abs], ids=["sin", "steep", "abs"]
)
def test_a_function_behind_a_linear_layer_is_found(x, bent):
    """Whatever it is, up to gain and offset, which the layer has."""
    target = bent(x) @ torch.randn(CHANNELS, 8, generator=torch.Generator().manual_seed(1)).double()
    line = alternate(x, target, torch.ones(TOKENS).double(), _profile(x))
    points = torch.linspace(-2, 2, 101).double()
    found, wished = line(points).numpy(), bent(points).numpy()
    assert abs(np.corrcoef(found, wished)[0, 1]) > 0.995
    assert _error(line(x), target) < 0.1 * _error(torch.tanh(x), target)


def test_tokens_that_weigh_nothing_are_not_heard(x):
    matrix = torch.randn(CHANNELS, 8, generator=torch.Generator().manual_seed(1)).double()
    heard = torch.arange(TOKENS) % 2 == 0
    target = torch.where(heard[:, None], torch.sin(x) @ matrix, 5 * torch.cos(3 * x) @ matrix)
    line = alternate(x, target, heard.double(), _profile(x))
    points = torch.linspace(-2, 2, 101).double()
    assert abs(np.corrcoef(line(points).numpy(), points.sin().numpy())[0, 1]) > 0.99


def test_consumers_leave_less_with_it_than_with_what_the_norm_is_on_average(small_vit):
    """On tokens of another scale each, where E[y|x] is not what consumers need most."""
    model = small_vit(depth=2)
    scales = torch.linspace(0.05, 3, 32).repeat(2)
    pixels = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(2)) * scales.view(-1, 1, 1, 1)
    layers = ["blocks.0.norm1", "blocks.0.norm2", "norm"]
    inputs: dict[str, Tensor] = {}
    for name in layers:
        model.get_submodule(name).register_forward_pre_hook(
            lambda m, args, n=name: inputs.update({n: args[0]})
        )
    outputs: dict[str, Tensor] = {}
    model.blocks[0].mlp.fc1.register_forward_hook(lambda m, args, out: outputs.update(z=out.flatten(0, 1)))
    with torch.no_grad():
        model(pixels)
    seen = {name: x.flatten(0, 1) for name, x in inputs.items()}
    target = outputs["z"]
    profiles = {name: _profile(x) for name, x in seen.items()}
    network = NetworkLoss(model, Calibration(pixels, pixels, pixels), layers)
    found = {name: reading.wanted(profiles[name]) for name, reading in readings(network).items()}
    # What reads the final norm sees the mean over the tokens.
    assert list(found) == ["blocks.0.norm1", "blocks.0.norm2"]
    x, profile, best = seen["blocks.0.norm2"], profiles["blocks.0.norm2"], found["blocks.0.norm2"]
    mean, better = (torch.from_numpy(np.interp(x.numpy(), p.x, p.y)).float() for p in (profile, best))
    weight = network.weights["blocks.0.mlp.fc1"].repeat(64)
    assert _error(better, target, weight) < 0.95 * _error(mean, target, weight)


def test_it_stands_in_a_profile_as_y(x):
    """The same x, and no y but the function's, on the scale of the norm's own."""
    profile = _profile(x)
    line = Line(3.0, 5 - 7 * torch.tanh(torch.linspace(-3, 3, 65).double()))
    taken = as_profile(line, profile)
    np.testing.assert_array_equal(taken.x, profile.x)
    np.testing.assert_array_equal(taken.weight, profile.weight)
    assert taken.ceiling_r2 == pytest.approx(1.0)
    assert abs(np.corrcoef(taken.y, np.tanh(profile.x))[0, 1]) > 0.999
    assert taken.variance == pytest.approx(profile.variance)
    assert taken.weight @ taken.y == pytest.approx(profile.weight @ profile.y, abs=1e-6)
    assert (taken.y_min, taken.y_max) == pytest.approx((taken.y.min(), taken.y.max()))
