"""What the consumers of a norm want in its place: the scalar function that leaves them the least error."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hwnorm.choose.network import NetworkLoss
from hwnorm.network.norms import in_precision
from hwnorm.network.ridge import USUAL_STRENGTH, Sums, with_ones
from hwnorm.profile import LayerProfile
from hwnorm.threads import single_threaded

FloatArray = npt.NDArray[np.float64]

#: Tokens that are looked at; of four one is held out.
TOKENS = 4096
#: Random sums of the consumers' outputs, which stand for all of them.
SUMS = 16
#: Points of the line that the function is, over the range of all but a few x.
POINTS = 65
_OUTSIDE = 2e-4
#: Rounds at most: each fits the consumers to the function, then the function to the consumers.
ROUNDS = 4
#: Pull of neighbouring points to a straight line, relative to what the data says.
_STIFFNESS = 1e-3
#: Tokens whose points are found together.
_CHUNK = 512
#: The points are multiples of the largest one's power of two, over this many: far more than sums in float64
#: differ by from machine to machine, and far less than a kernel's output can tell.
_STEPS = 2**12


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


@dataclass(frozen=True)
class Reading:
    """A norm's tokens and what its consumers make of them: float64, as arrays that a process can be sent.

    ``x`` is (n, channels), ``target`` (n, outputs), ``weight`` (n,), as :func:`alternate` takes them.
    """

    x: FloatArray
    target: FloatArray
    weight: FloatArray

    @torch.no_grad()
    def wanted(self, profile: LayerProfile) -> LayerProfile:
        """The norm's profile, its y the function that brings refitted consumers nearest to their outputs.

        E[y|x], which a profile's ceiling is about, is best for each value by itself. Consumers sum over
        channels, and are refitted: what they need of a function may be steeper.
        """
        x, target, weight = (torch.from_numpy(array) for array in (self.x, self.target, self.weight))
        with single_threaded():
            return as_profile(alternate(x, target, weight, profile), profile)


@torch.no_grad()
def readings(network: NetworkLoss) -> dict[str, Reading]:
    """Of each norm whose consumers are linear layers over the same tokens, how they read it."""
    model = network.exact
    inputs: dict[str, _Tokens] = {}
    outputs: dict[str, list[_Tokens]] = {}
    generator = torch.Generator().manual_seed(0)

    def on_input(name: str) -> Any:
        return lambda module, args: inputs.__setitem__(name, _Tokens.of(args[0]))

    def on_output(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            tokens = _Tokens.of(output)
            sums = torch.randn(output.shape[-1], SUMS, generator=generator).to(output)
            outputs.setdefault(name, []).append(replace(tokens, values=tokens.values @ sums))

        return hook

    handles = []
    for site in network.around.sites:
        consumers = [model.get_submodule(name) for name in site.consumers]
        if site.axis == -1 and all(isinstance(consumer, nn.Linear) for consumer in consumers):
            handles.append(model.get_submodule(site.name).register_forward_pre_hook(on_input(site.name)))
            handles += [consumer.register_forward_hook(on_output(site.name)) for consumer in consumers]
    try:
        model(in_precision(network.images.fit, torch.float64))
    finally:
        for handle in handles:
            handle.remove()
    found = {}
    for site in network.around.sites:
        read = outputs.get(site.name, [])
        if not read:
            continue
        x = inputs[site.name]
        if len(x.shape) == 2 and all(tokens.shape == x.shape for tokens in read):
            target = torch.stack([tokens.values for tokens in read]).sum(0)
            weight = network.weights.get(site.consumers[0], torch.ones(x.shape[1]).double())
            weights = _Tokens.of(weight.expand(x.shape)[..., None]).values[:, 0]
            arrays = (tensor.numpy() for tensor in (x.values, target, weights))
            found[site.name] = Reading(*arrays)
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
        x: float64 (n, channels).
        target: float64 (n, outputs).
        weight: of each token's squared error, float64 (n,).
    """
    end = float(np.quantile(x.abs().numpy(), 1 - _OUTSIDE)) or 1.0
    mean = np.interp(np.linspace(-end, end, POINTS), profile.x, profile.y)
    best, held = Line(end, torch.from_numpy(mean)), len(x) // 4
    seen, unseen = (tuple(t[part] for t in (x, target, weight)) for part in (slice(held, None), slice(held)))

    def fitted(line: Line) -> tuple[Tensor, float]:
        """The layer for a function, and its error on held-out tokens."""
        fit, rest = (Sums(x.shape[1] + 1, target.shape[1], x.device) for _ in range(2))
        for sums, (x_of, target_of, weight_of) in ((fit, seen), (rest, unseen)):
            sums.add(with_ones(line(x_of)), target_of, weight_of)
        layer = fit.solve(USUAL_STRENGTH, torch.zeros_like(fit.cross))
        return layer, rest.error(layer)

    layer, least = fitted(best)
    for _ in range(ROUNDS):
        line = _line(best, layer, *seen)
        layer, error = fitted(line)
        if error >= least:
            break
        best, least = line, error
    return _rounded(best)


def _rounded(line: Line) -> Line:
    step = 2.0 ** math.floor(math.log2(float(line.values.abs().max()) or 1.0)) / _STEPS
    return Line(line.end, (line.values / step).round() * step)


def _line(line: Line, layer: Tensor, x: Tensor, target: Tensor, weight: Tensor) -> Line:
    """The values of least squares where the layer is given."""
    size, outputs = len(line.values), layer.shape[1]
    normal, pull = torch.zeros(size, size).double(), torch.zeros(size).double()
    for part, goal, of in zip(*(torch.split(t, _CHUNK) for t in (x, target, weight)), strict=True):
        left, right = line.place(part)
        rows = x.new_zeros(len(part) * size, outputs)
        first = torch.arange(len(part))[:, None] * size + left
        for at, share in ((first, 1 - right), (first + 1, right)):
            rows.index_add_(0, at.flatten(), (share[..., None] * layer[:-1]).flatten(0, 1))
        points = rows.view(len(part), size, outputs) * of.sqrt()[:, None, None]
        points = points.transpose(1, 2).reshape(-1, size)
        normal += points.T @ points
        pull += points.T @ ((goal - layer[-1]) * of.sqrt()[:, None]).flatten()
    bend = torch.diff(torch.eye(size).double(), 2, dim=0)
    scale = float(normal.diagonal().mean())
    stiff = scale * (_STIFFNESS * bend.T @ bend + 1e-6 * torch.eye(size))
    return Line(line.end, torch.linalg.solve(normal + stiff, pull))


def as_profile(line: Line, profile: LayerProfile) -> LayerProfile:
    """A profile of the same x whose y is the function, with the mean and deviation that the norm's y has."""
    x = profile.sum_x / np.maximum(profile.count, 1)
    values = line(torch.from_numpy(x)).numpy()
    total = profile.count.sum()
    values -= profile.count @ values / total
    deviation = np.sqrt(profile.count @ values**2 / total)
    sign = -1.0 if profile.sum_y @ values < 0 else 1.0
    y = profile.sum_y.sum() / total + sign * np.sqrt(profile.variance) / max(deviation, 1e-30) * values
    filled = profile.count > 0
    low, high = float(y[filled].min()), float(y[filled].max())
    return replace(profile, sum_y=profile.count * y, sum_yy=profile.count * y * y, y_min=low, y_max=high)
