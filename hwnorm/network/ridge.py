"""Ridge regression from sums: memory of a layer's width squared, however many tokens."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Penalties to choose from, relative to the mean diagonal of X^T X. None is weaker than the usual one:
#: what is held out of a fit was in the fits before it, and speaks for weaker ones than unseen images would.
STRENGTHS = tuple(10.0 ** (e / 2) for e in range(-6, 5))
#: The one that is taken where nothing was held out to choose by.
USUAL_STRENGTH = 1e-3
#: A layer that sees fewer rows than this many times its inputs (a head behind pooling) is drawn to its
#: weights in proportion: what it were fitted to else would be the noise.
ENOUGH_ROWS = 50
#: Rows whose products are summed in their own precision before they join the sums in float64.
_CHUNK = 4096


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


class Sums:
    """X^T X, X^T T and T^T T's diagonal over weighed rows, in float64.

    T may be given as B M: rows B that are fewer numbers than T, and the same matrix M behind all of them.

    Args:
        inputs, wanted: columns of X and of T, or of B.
        factored: whether B is given. Then ``squares`` is B^T B, (wanted, wanted); else the diagonal alone.
    """

    def __init__(self, inputs: int, wanted: int, device: torch.device, *, factored: bool = False) -> None:
        self.gram = torch.zeros(inputs, inputs, dtype=torch.float64, device=device)
        self.cross = torch.zeros(inputs, wanted, dtype=torch.float64, device=device)
        shape = (wanted, wanted) if factored else (wanted,)
        self.squares = torch.zeros(shape, dtype=torch.float64, device=device)
        #: Sums of the weights and of their squares.
        self.total, self.uneven = 0.0, 0.0

    def add(self, x: Tensor, wanted: Tensor, weight: Tensor | None) -> None:
        """Add rows (n, inputs), the last of them ones, what they should become (n, wanted), weights (n,)."""
        weighed, aimed = (x, wanted) if weight is None else (x * weight[:, None], wanted * weight[:, None])
        for a, b, c, d in zip(*(torch.split(t, _CHUNK) for t in (x, weighed, wanted, aimed)), strict=True):
            self.gram += b.T @ a
            self.cross += b.T @ c
            self.squares += d.T @ c if self.squares.ndim == 2 else (d * c).sum(0)
        self.total += float(len(x)) if weight is None else float(weight.double().sum())
        self.uneven += float(len(x)) if weight is None else float(weight.double().square().sum())

    def join(self, other: Sums) -> None:
        """Add the rows of other sums."""
        for name in ("gram", "cross", "squares", "total", "uneven"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def behind(self, matrix: Tensor) -> Sums:
        """The same of T = B M, where B was given: M is float64 (wanted, outputs)."""
        found = Sums(len(self.gram), matrix.shape[1], matrix.device)
        found.gram, found.total, found.uneven = self.gram, self.total, self.uneven
        found.cross = self.cross @ matrix
        found.squares = (self.squares @ matrix * matrix).sum(0)
        return found

    def error(self, weights: Tensor) -> float:
        """||X W - T||^2 of weights (inputs, outputs)."""
        return float(self.squares.sum() + (weights * (self.gram @ weights - 2 * self.cross)).sum())

    def solve(self, strength: float, start: Tensor) -> Tensor:
        """The W of least ||X W - T||^2 + lambda ||W - start||^2, lambda a share of X^T X's mean diagonal."""
        penalty = strength * self.gram.diagonal().mean()
        damped = self.gram.clone()
        damped.diagonal().add_(penalty)
        factor = torch.linalg.cholesky(damped)
        return torch.cholesky_solve(self.cross + penalty * start, factor)

    @property
    def variance(self) -> float:
        """Sum of (T - mean of T)^2; the last input is a one, so its row of the cross sums is that of T."""
        return float(self.squares.sum() - (self.cross[-1].square() / self.total).sum())

    @property
    def count(self) -> float:
        """So many rows that weigh alike say as much."""
        return self.total**2 / max(self.uneven, 1e-30)

    def scarcity(self, enough: float = ENOUGH_ROWS) -> float:
        """How many times the rows fall short of ``enough`` times the inputs; 1 where they do not."""
        return max(1.0, enough * len(self.gram) / max(self.count, 1e-30))


class Ridge:
    """Refits a linear layer or a convolution to targets, drawn towards the weights that it has.

    Minimises ||X W - T||^2 + lambda ||W - W0||^2 over W, the weights with the bias as last row, with
    lambda a share of the mean diagonal of X^T X: the one of :data:`STRENGTHS` that does best on the
    batches that were held out. The solution is that of the normal equations
    (X^T X + lambda I) W = X^T T + lambda W0. Products are of the rows' own precision, sums of them float64.

    Memory: two float64 matrices of (inputs + 1) x (inputs + 1 + outputs), where a convolution's inputs
    are those of its whole window.

    Args:
        original: a layer of the same shape that gives the targets: :meth:`add` gets what it reads.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, original: nn.Module | None = None) -> None:
        self.layer, self.original = layer, original
        size, outputs = layer.weight[0].numel() + 1, layer.weight.shape[0]
        #: What the original reads is fewer numbers than what it makes of them.
        self._by_reads = isinstance(original, nn.Linear) and size < outputs
        wanted = size if self._by_reads else outputs
        self.fit, self.held = (
            Sums(size, wanted, layer.weight.device, factored=self._by_reads) for _ in range(2)
        )

    def add(self, x: Tensor, wanted: Tensor, held: bool = False, weight: Tensor | None = None) -> None:
        """Add a batch of the layer's inputs and its targets (or what the original reads), in their shapes.

        ``weight`` is that of each token's squared error, (tokens,); None counts all alike.
        """
        if self.original is not None and not self._by_reads:
            wanted = self.original(wanted)
        if isinstance(self.layer, nn.Conv2d):
            x, wanted = _windows(self.layer, x), wanted.flatten(2).transpose(1, 2)
        rows, targets = (t.reshape(-1, t.shape[-1]) for t in (x, wanted))
        sums = self.held if held else self.fit
        sums.add(with_ones(rows), with_ones(targets) if self._by_reads else targets, weight)

    @torch.no_grad()
    def solve(self, enough: float = 0.0) -> float:
        """Give the layer its new weight and bias; return what share of the targets' variance is left.

        The share is measured on the held-out batches before they join the fit, or, where there are
        none, on the fit itself: with the usual strength.

        Args:
            enough: times its inputs the rows from which on the usual strength is; it grows as they are fewer.
        """
        fit, held = self.fit, self.held
        if self._by_reads:
            assert isinstance(self.original, nn.Linear)
            matrix = weights_of(self.original).double()
            fit, held = fit.behind(matrix), held.behind(matrix)
        start = weights_of(self.layer).double()
        if held.total:
            strength, error = _strength(fit, held, start)
            left = error / max(held.variance, 1e-30)
            fit.join(held)
            solution = fit.solve(strength, start)
        else:
            solution = fit.solve(USUAL_STRENGTH * fit.scarcity(enough), start)
            left = fit.error(solution) / max(fit.variance, 1e-30)
        give_weights(self.layer, solution)
        return left


def _strength(fit: Sums, held: Sums, start: Tensor) -> tuple[float, float]:
    """The best of the strengths on what was held out, and its squared error there."""
    values, vectors = torch.linalg.eigh(fit.gram)
    missing = vectors.T @ (fit.cross - fit.gram @ start)
    scale = float(fit.gram.diagonal().mean())

    def errors() -> Iterator[tuple[float, float]]:
        for strength in STRENGTHS:
            step = missing / (values.clamp(min=0) + strength * scale)[:, None]
            yield strength, held.error(start + vectors @ step)

    return min(errors(), key=lambda found: found[1])


def _windows(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """What each of a convolution's outputs reads: (n, places, inputs of a window)."""
    assert not isinstance(conv.padding, str)
    return F.unfold(x, conv.kernel_size, conv.dilation, conv.padding, conv.stride).transpose(1, 2)
