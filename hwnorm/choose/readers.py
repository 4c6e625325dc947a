"""What the readers of a norm want in its place: the scalar function that leaves them the least error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwnorm.choose.network import NetworkLoss
from hwnorm.network.ridge import USUAL_STRENGTH, fast_ridge, with_ones
from hwnorm.profile import LayerProfile

#: Tokens that are looked at; of four one is held out.
TOKENS = 4096
#: Random sums of the readers' outputs, which stand for all of them.
SUMS = 16
#: Points of the line that the function is, over the range of all but a few x.
POINTS = 65
_OUTSIDE = 2e-4
#: Rounds at most: each fits the readers to the function, then the function to the readers.
ROUNDS = 4
#: Pull of neighbouring points to a straight line, relative to what the data says.
_STIFFNESS = 1e-3
#: Tokens whose points are found together.
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Line:
    """A piecewise line with equally wide segments from -end to end; flat outside."""

    end: float
    values: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        left, right = self.place(x)
        values: Tensor = torch.lerp(self.values[left], self.values[left + 1], right)
        return values

    def place(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The point to the left of each x, and how far towards the next one it is, 0 to 1."""
        last = len(self.values) - 1
        place = (x.clamp(-self.end, self.end) + self.end) * (last / (2 * self.end))
        left = place.long().clamp(max=last - 1)
        return left, place - left


@torch.no_grad()
def wanted(network: NetworkLoss, profiles: Mapping[str, LayerProfile]) -> dict[str, LayerProfile]:
    """Norm -> a profile whose y is the function of x that brings refitted readers nearest to their outputs.

    E[y|x], which a profile's ceiling is about, is best for each value by itself. Readers sum over
    channels, and are refitted: what they need of a function may be steeper. Norms whose readers are not
    linear layers over the same tokens have no entry.

    Args:
        profiles: of each norm.
    """
    model = network.model
    inputs: dict[str, _Tokens] = {}
    outputs: dict[str, list[_Tokens]] = {}
    generator = torch.Generator().manual_seed(0)

    def on_input(name: str) -> Any:
        return lambda module, args: inputs.__setitem__(name, _Tokens.of(args[0]))

    def on_output(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            tokens = _Tokens.of(output)
            sums = torch.randn(output.shape[-1], SUMS, generator=generator).to(output.device)
            outputs.setdefault(name, []).append(replace(tokens, values=tokens.values @ sums))

        return hook

    handles = []
    for site in network.sites.values():
        readers = [model.get_submodule(name) for name in site.consumers]
        if site.axis == -1 and all(isinstance(reader, nn.Linear) for reader in readers):
            handles.append(model.get_submodule(site.name).register_forward_pre_hook(on_input(site.name)))
            handles += [reader.register_forward_hook(on_output(site.name)) for reader in readers]
    try:
        model(network.pixels[: network.part(len(network.pixels))])
    finally:
        for handle in handles:
            handle.remove()
    found = {}
    for name, read in outputs.items():
        x = inputs[name]
        if len(x.shape) == 2 and all(tokens.shape == x.shape for tokens in read):
            target = torch.stack([tokens.values for tokens in read]).sum(0)
            weight = network.weights.get(network.sites[name].consumers[0], torch.ones(x.shape[1]))
            weights = _Tokens.of(weight.expand(x.shape)[..., None]).values[:, 0]
            line = alternate(x.values, target, weights, profiles[name])
            found[name] = as_profile(line, profiles[name])
    return found


@dataclass(frozen=True)
class _Tokens:
    """A sample of a tensor's tokens, (n, channels): the same ones of every tensor with as many."""

    shape: torch.Size
    values: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Tokens:
        shape = x.shape[:-1]
        picked = torch.randperm(shape.numel(), generator=torch.Generator().manual_seed(0))[:TOKENS]
        return cls(shape, x.reshape(-1, x.shape[-1])[picked.to(x.device)].cpu())


def alternate(x: Tensor, target: Tensor, weight: Tensor, profile: LayerProfile) -> Line:
    """The function f and the linear layer W that make W f(x) least far from a target, in turns.

    Each is a linear least-squares problem where the other is given (alternating least squares); begins with
    the profile's E[y|x], and ends with the function that did best on held-out tokens.

    Args:
        x: (n, channels).
        target: (n, outputs).
        weight: of each token's squared error, (n,).
    """
    end = float(np.quantile(x.abs().numpy(), 1 - _OUTSIDE)) or 1.0
    mean = np.interp(np.linspace(-end, end, POINTS), profile.x, profile.y)
    best, held = Line(end, torch.from_numpy(mean).float()), len(x) // 4
    seen, unseen = (tuple(t[part] for t in (x, target, weight)) for part in (slice(held, None), slice(held)))

    def fitted(line: Line) -> tuple[Tensor, float]:
        """The layer for a function, and its error on held-out tokens."""
        x, target, weight = seen
        layer = fast_ridge(line(x), target, USUAL_STRENGTH, weight).float()
        x, target, weight = unseen
        return layer, float((weight * (with_ones(line(x)) @ layer - target).square().sum(1)).sum())

    layer, least = fitted(best)
    for _ in range(ROUNDS):
        line = _line(best, layer, *seen)
        layer, error = fitted(line)
        if error >= least:
            break
        best, least = line, error
    return best


def _line(line: Line, layer: Tensor, x: Tensor, target: Tensor, weight: Tensor) -> Line:
    """The values of least squares where the layer is given."""
    size, outputs = len(line.values), layer.shape[1]
    normal, pull = torch.zeros(size, size).double(), torch.zeros(size).double()
    for part, goal, of in zip(*(torch.split(t, _CHUNK) for t in (x, target, weight)), strict=True):
        left, right = line.place(part)
        rows = torch.zeros(len(part) * size, outputs)
        first = torch.arange(len(part))[:, None] * size + left
        for at, share in ((first, 1 - right), (first + 1, right)):
            rows.index_add_(0, at.flatten(), (share[..., None] * layer[:-1]).flatten(0, 1))
        points = rows.view(len(part), size, outputs) * of.sqrt()[:, None, None]
        points = points.transpose(1, 2).reshape(-1, size)
        normal += (points.T @ points).double()
        pull += (points.T @ ((goal - layer[-1]) * of.sqrt()[:, None]).flatten()).double()
    bend = torch.diff(torch.eye(size).double(), 2, dim=0)
    scale = float(normal.diagonal().mean())
    stiff = scale * (_STIFFNESS * bend.T @ bend + 1e-6 * torch.eye(size))
    return Line(line.end, torch.linalg.solve(normal + stiff, pull).float())


def as_profile(line: Line, profile: LayerProfile) -> LayerProfile:
    """A profile of the same x whose y is the function, with the mean and deviation that the norm's y has."""
    x = profile.sum_x / np.maximum(profile.count, 1)
    values = line(torch.from_numpy(x).float()).double().numpy()
    total = profile.count.sum()
    values -= profile.count @ values / total
    deviation = np.sqrt(profile.count @ values**2 / total)
    sign = -1.0 if profile.sum_y @ values < 0 else 1.0
    y = profile.sum_y.sum() / total + sign * np.sqrt(profile.variance) / max(deviation, 1e-30) * values
    filled = profile.count > 0
    low, high = float(y[filled].min()), float(y[filled].max())
    return replace(profile, sum_y=profile.count * y, sum_yy=profile.count * y * y, y_min=low, y_max=high)
