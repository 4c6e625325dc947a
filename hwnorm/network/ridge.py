"""Ridge regression from sums: memory of a layer's width squared, however many tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Penalties to choose from, relative to the mean diagonal of X^T X. None is weaker than the usual one:
#: what is held out of a fit was in the fits before it, and speaks for weaker ones than unseen images would.
STRENGTHS = tuple(10.0 ** (e / 2) for e in range(-6, 5))
#: The one that is taken where nothing was held out to choose by.
USUAL_STRENGTH = 1e-3


def weights_of(layer: nn.Linear | nn.Conv2d) -> Tensor:
    """A layer's weights with its bias, or zeros, as last row: (inputs + 1, outputs)."""
    weight = layer.weight.detach().flatten(1)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return torch.cat([weight.T, bias[None]])


def give_weights(layer: nn.Linear | nn.Conv2d, solution: Tensor) -> None:
    """Give a layer weights and a bias as :func:`weights_of` has them, in its own precision."""
    shape, dtype = layer.weight.shape, layer.weight.dtype
    layer.weight = nn.Parameter(solution[:-1].T.reshape(shape).to(dtype).contiguous())
    layer.bias = nn.Parameter(solution[-1].to(dtype).clone())


def with_ones(rows: Tensor) -> Tensor:
    """Rows (n, inputs) with a one behind each, which the bias meets: (n, inputs + 1)."""
    return torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)


def fast_ridge(
    rows: Tensor, target: Tensor, strength: float, weight: Tensor | None = None, start: Tensor | None = None
) -> Tensor:
    """The solution of :class:`Ridge`, with sums in single precision: float64 (in + 1, out).

    For what is done thousands of times; the penalty is far above what single precision loses.

    Args:
        rows, target: float32 (n, in), (n, out).
        weight: of each row's squared error, (n,); None counts all alike.
        start: the weights that it is drawn towards, (in + 1, out); None for zero.
    """
    x = with_ones(rows)
    weighed = x if weight is None else x * weight[:, None]
    gram, cross = (weighed.T @ x).double(), (weighed.T @ target).double()
    penalty = strength * gram.diagonal().mean()
    gram.diagonal().add_(penalty)
    solution: Tensor = torch.linalg.solve(gram, cross if start is None else cross + penalty * start.double())
    return solution


class Sums:
    """X^T X, X^T T and the sum of T^2 over rows, in float64."""

    def __init__(self, inputs: int, outputs: int, device: torch.device) -> None:
        self.gram = torch.zeros(inputs, inputs, dtype=torch.float64, device=device)
        self.cross = torch.zeros(inputs, outputs, dtype=torch.float64, device=device)
        self.squares = 0.0
        self.total = 0.0

    def add(self, rows: Tensor, targets: Tensor) -> None:
        """Add rows, float64: (n, inputs), the last of them ones, and their targets (n, outputs).

        Both may be scaled by a row's weight's root.
        """
        self.gram.addmm_(rows.T, rows)
        self.cross.addmm_(rows.T, targets)
        self.squares += float(targets.square().sum())
        self.total += float(rows[:, -1].square().sum())

    def error(self, weights: Tensor) -> float:
        """||X W - T||^2 of weights (inputs, outputs)."""
        return float(self.squares + (weights * (self.gram @ weights - 2 * self.cross)).sum())

    @property
    def variance(self) -> float:
        """Sum of (T - mean of T)^2; the last input is a one, so its row of the cross sums is that of T."""
        return float(self.squares - (self.cross[-1].square() / self.total).sum())


class Ridge:
    """Refits a linear layer or a convolution to targets, drawn towards the weights that it has.

    Minimises ||X W - T||^2 + lambda ||W - W0||^2 over W, the weights with the bias as last row, with
    lambda a share of the mean diagonal of X^T X: the one of :data:`STRENGTHS` that does best on the
    batches that were held out. The solution is that of the normal equations
    (X^T X + lambda I) W = X^T T + lambda W0.

    Memory: two float64 matrices of (inputs + 1) x (inputs + 1 + outputs), where a convolution's inputs
    are those of its whole window.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        self.layer = layer
        size, device = layer.weight[0].numel() + 1, layer.weight.device
        self.fit, self.held = (Sums(size, layer.weight.shape[0], device) for _ in range(2))

    def add(self, x: Tensor, target: Tensor, held: bool = False, weight: Tensor | None = None) -> None:
        """Add a batch of the layer's inputs and wanted outputs, in its own shapes.

        ``weight`` is that of each token's squared error, (tokens,); None counts all alike.
        """
        if isinstance(self.layer, nn.Conv2d):
            conv = self.layer
            assert not isinstance(conv.padding, str)
            windows = F.unfold(x, conv.kernel_size, conv.dilation, conv.padding, conv.stride)
            x, target = windows.transpose(1, 2), target.flatten(2).transpose(1, 2)
        rows = with_ones(x.reshape(-1, x.shape[-1]).double())
        targets = target.reshape(-1, target.shape[-1]).double()
        if weight is not None:
            root = weight.double().sqrt()[:, None]
            rows, targets = rows * root, targets * root
        (self.held if held else self.fit).add(rows, targets)

    @torch.no_grad()
    def solve(self) -> float:
        """Give the layer its new weight and bias; return what share of the targets' variance is left.

        The share is measured on the held-out batches before they join the fit, or, where there are
        none, on the fit itself.
        """
        layer = self.layer
        start = weights_of(layer).double()
        strength, left = USUAL_STRENGTH, None
        if self.held.total:
            strength, error = self._strength(start)
            left = error / max(self.held.variance, 1e-30)
            for name in ("gram", "cross", "squares", "total"):
                setattr(self.fit, name, getattr(self.fit, name) + getattr(self.held, name))
        gram = self.fit.gram
        penalty = strength * gram.diagonal().mean()
        damped = gram + penalty * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        solution = torch.linalg.solve(damped, self.fit.cross + penalty * start)
        if left is None:
            left = self.fit.error(solution) / max(self.fit.variance, 1e-30)
        give_weights(layer, solution)
        return left

    def _strength(self, start: Tensor) -> tuple[float, float]:
        """The best of the strengths on what was held out, and its squared error there."""
        values, vectors = torch.linalg.eigh(self.fit.gram)
        missing = vectors.T @ (self.fit.cross - self.fit.gram @ start)
        scale = float(self.fit.gram.diagonal().mean())

        def error(strength: float) -> float:
            step = missing / (values.clamp(min=0) + strength * scale)[:, None]
            return self.held.error(start + vectors @ step)

        return min(((s, error(s)) for s in STRENGTHS), key=lambda found: found[1])
