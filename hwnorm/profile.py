"""What a norm layer does to a scalar: joint statistics of its input and its normalized output."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor

from hwnorm.artefact import Artefact
from hwnorm.names import LayerName
from hwnorm.rounding import nearest, significant

QUANTILE_BINS = 1024
#: Each tail bin is wider than its inner neighbour by this factor ...
TAIL_GROWTH = 1.25
#: ... until the bins reach this many times the range of the first batch beyond it, on either side.
TAIL_REACH = 8.0
#: Cells of the table that finds bins.
_CELLS = 1 << 14
#: The span of the cells is at least this, and they begin and end within these limits: single precision
#: neither rounds their width away nor overflows.
_LEAST_SPAN, _LIMIT = 1e-30, 1e38
#: Significant bits of edges and ranges.
_BITS = 18
#: Steps of a bin's mean of y and of y^2, and of x, that one as a share of the largest magnitude.
#: Activations in float64 differ by some 1e-14 from machine to machine: far less than that.
_Y_STEP, _X_STEP = 2.0**-20, 2.0**-26


def bin_edges(x: Tensor) -> Tensor:
    """Ascending float32 edges: about 1,024 quantile bins of ``x``, then geometrically growing tails.

    They have few significant bits, so that they are the same where ``x`` differs in its last digits.
    """
    # NumPy sorts four times as fast.
    ordered = torch.from_numpy(significant(np.sort(x.flatten().float().numpy()), _BITS))
    picks = torch.linspace(0, len(ordered) - 1, QUANTILE_BINS + 1, dtype=torch.float64).round().long()
    inner = ordered[picks].double()
    low, high = float(inner[0]), float(inner[-1])
    reach = max(high - low, 1e-6 * max(abs(low), abs(high), 1.0))
    steps, width, offset = [], reach / QUANTILE_BINS, 0.0
    while offset < TAIL_REACH * reach:
        offset += width
        steps.append(offset)
        width *= TAIL_GROWTH
    tail = torch.tensor(steps, dtype=torch.float64)
    edges = significant(torch.cat([low - tail, inner, high + tail]).numpy(), _BITS)
    return torch.from_numpy(np.unique(edges.astype(np.float32)))


class Bins:
    """Finds the bins of points on fixed edges, as ``np.searchsorted`` does and many times as fast.

    Bisection takes much of a capture's time. So a table of equal cells, which spans the quantile bins, tells
    in which bin a cell begins, a step leads on from there, and only what is left by then is bisected.
    """

    def __init__(self, edges: np.ndarray) -> None:
        """Of ascending float32 edges, (B - 1,) of them."""
        self._edges, self._ends = edges, np.append(edges, np.float32(np.inf))
        # As many edges lie in the one tail as in the other.
        outside = max(0, len(edges) - QUANTILE_BINS - 1) // 2
        low, high = map(float, np.clip(edges[[outside, -1 - outside]], -_LIMIT, _LIMIT))
        self._low, self._scale = np.float32(low), np.float32(_CELLS / max(high - low, _LEAST_SPAN))
        # A cell early: where rounding has put an x into the next one, the bin would be too high.
        begins = low + (np.arange(_CELLS + 1) - 1) / float(self._scale)
        begins[0] = -np.inf
        self._first = np.searchsorted(edges, begins.astype(np.float32)).astype(np.int32)

    def of(self, x: np.ndarray) -> np.ndarray:
        """The bin of each x, finite float32 (n,): int64 (n,)."""
        with np.errstate(over="ignore"):
            cells = np.clip((x - self._low) * self._scale, 0, _CELLS).astype(np.int32)
        found = self._first.take(cells)
        found += self._ends.take(found) < x
        late = np.flatnonzero(self._ends.take(found) < x)
        found[late] = np.searchsorted(self._edges, x[late])
        return np.asarray(found, np.int64)


@dataclass
class LayerProfile:
    """Statistics of x, a norm's input, and y = (x - mean) / sigma, its output before the affine.

    Bin b holds the x with ``edges[b - 1] < x <= edges[b]``; the first and the last are open. For a
    scalar function f only the sums matter: over all points,
    sum (f(x) - y)^2 = sum_b (sum y^2 - n_b mean_b^2) + sum_b n_b (f(x_b) - mean_b)^2,
    exactly so where f is constant within a bin.

    Attributes:
        channels: elements of a token.
        edges: float32 (B - 1,); ``count``, ``sum_x``, ``sum_y``, ``sum_yy``: float64 (B,).
        tokens, images: how many of them the statistics are over.
    """

    channels: int
    edges: np.ndarray
    count: np.ndarray
    sum_x: np.ndarray
    sum_y: np.ndarray
    sum_yy: np.ndarray
    x_min: float = float("inf")
    x_max: float = float("-inf")
    y_min: float = float("inf")
    y_max: float = float("-inf")
    tokens: int = 0
    images: int = 0

    @classmethod
    def empty(cls, channels: int, edges: Tensor) -> LayerProfile:
        """A profile without points on given bin edges (:func:`bin_edges`)."""
        count, sum_x, sum_y, sum_yy = np.zeros((4, len(edges) + 1))
        return cls(channels, edges.numpy().astype(np.float32), count, sum_x, sum_y, sum_yy)

    def update(self, x: Tensor, y: Tensor, images: int) -> None:
        """Add a batch: x and y are float32 or float64 (..., channels), from ``images`` images."""
        flat, normalized = x.reshape(-1).double(), y.reshape(-1).double()
        bins, size = self._bins.of(flat.float().numpy()), len(self.count)
        wide = normalized.numpy()
        self.count += np.bincount(bins, minlength=size)
        self.sum_x += np.bincount(bins, flat.numpy(), size)
        self.sum_y += np.bincount(bins, wide, size)
        self.sum_yy += np.bincount(bins, np.square(wide), size)
        (x_min, x_max), (y_min, y_max) = (map(float, torch.aminmax(v)) for v in (flat, normalized))
        self.x_min, self.x_max = min(self.x_min, x_min), max(self.x_max, x_max)
        self.y_min, self.y_max = min(self.y_min, y_min), max(self.y_max, y_max)
        self.tokens += len(flat) // self.channels
        self.images += images

    def settle(self) -> None:
        """Round ranges and sums well above what activations in float64 differ by from machine to machine.

        Means within a bin become multiples of 2^-20; those of x of 2^-26 times the largest magnitude.
        """
        for name in ("x_min", "x_max", "y_min", "y_max"):
            setattr(self, name, float(significant(getattr(self, name), _BITS)))
        scale = 2.0 ** math.frexp(max(abs(self.x_min), abs(self.x_max), _LEAST_SPAN))[1]
        points = np.maximum(self.count, 1.0)
        self.sum_x = nearest(self.sum_x, points * scale * _X_STEP)
        self.sum_y, self.sum_yy = (nearest(v, points * _Y_STEP) for v in (self.sum_y, self.sum_yy))

    @cached_property
    def _bins(self) -> Bins:
        return Bins(self.edges)

    def merge(self, other: LayerProfile) -> None:
        """Add the points of another profile on the same bins.

        Raises:
            ValueError: the bins or the channels differ.
        """
        if self.channels != other.channels or not np.array_equal(self.edges, other.edges):
            raise ValueError("profiles on different bins or channels cannot be merged")
        for name in ("count", "sum_x", "sum_y", "sum_yy", "tokens", "images"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, pick in (("x_min", min), ("x_max", max), ("y_min", min), ("y_max", max)):
            setattr(self, name, pick(getattr(self, name), getattr(other, name)))

    @property
    def _filled(self) -> np.ndarray:
        return self.count > 0

    @property
    def weight(self) -> np.ndarray:
        """Points in each non-empty bin: float64 (b,)."""
        return np.asarray(self.count[self._filled])

    @property
    def x(self) -> np.ndarray:
        """Mean x of each non-empty bin, ascending: float64 (b,)."""
        return np.asarray(self.sum_x[self._filled] / self.weight)

    @property
    def y(self) -> np.ndarray:
        """Mean y of each non-empty bin, E[y|x]: float64 (b,)."""
        return np.asarray(self.sum_y[self._filled] / self.weight)

    @property
    def variance(self) -> float:
        """Variance of y over all points."""
        total = self.weight.sum()
        return float(self.sum_yy.sum() / total - (self.sum_y.sum() / total) ** 2)

    @property
    def _within(self) -> float:
        """Mean over all points of (y - mean of its bin)^2: what no function of x can explain."""
        # Sums of products, here and below: those of BLAS are in another order on another machine.
        between = float((self.weight * self.y**2).sum())
        return max(0.0, float(self.sum_yy.sum()) - between) / float(self.weight.sum())

    @property
    def ceiling_r2(self) -> float:
        """R2 of E[y|x], the best that any function of x reaches."""
        return 1.0 - self._within / self.variance

    def mse(self, fx: np.ndarray) -> float:
        """Mean (f(x) - y)^2 over all points; ``fx`` holds f at ``self.x``, (b,)."""
        return self._within + float((self.weight * (fx - self.y) ** 2).sum() / self.weight.sum())

    def r2(self, fx: np.ndarray) -> float:
        """1 - mse / variance; ``fx`` holds f at ``self.x``, (b,)."""
        return 1.0 - self.mse(fx) / self.variance

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON can hold it; numbers come back exactly."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LayerProfile:
        """Rebuild a profile from :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or of the wrong kind.
        """
        arrays = {name: np.array(data[name], np.float64) for name in ("count", "sum_x", "sum_y", "sum_yy")}
        edges = np.array(data["edges"], np.float32)
        if any(array.shape != (len(edges) + 1,) for array in arrays.values()):
            raise ValueError(f"{len(edges)} edges need sums of {len(edges) + 1} bins")
        limits = {name: float(data[name]) for name in ("x_min", "x_max", "y_min", "y_max")}
        counts = {name: int(data[name]) for name in ("channels", "tokens", "images")}
        return cls(edges=edges, **arrays, **limits, **counts)  # type: ignore[arg-type]


class Profile(Artefact):
    """A layer's profile as its file holds it: which layer, and the numbers of :class:`LayerProfile`.

    ``position`` is the layer's place in the order of execution, ``affine`` tells where the norm's weight and
    bias go, ``whole`` whether it takes mean and deviation over all axes but the batch's.
    """

    KIND = "profile"

    layer: LayerName
    position: int
    affine: str
    whole: bool = False
    channels: PositiveInt
    edges: tuple[float, ...]
    count: tuple[float, ...]
    sum_x: tuple[float, ...]
    sum_y: tuple[float, ...]
    sum_yy: tuple[float, ...]
    x_min: float
    x_max: float
    y_min: float
    y_max: float
    tokens: PositiveInt
    images: PositiveInt

    @model_validator(mode="after")
    def _one_sum_a_bin(self) -> Self:
        bins = len(self.edges) + 1
        for name in ("count", "sum_x", "sum_y", "sum_yy"):
            if len(getattr(self, name)) != bins:
                raise ValueError(
                    f"{name}: {len(getattr(self, name))} numbers; {len(self.edges)} edges make {bins} bins"
                )
        return self

    @property
    def statistics(self) -> LayerProfile:
        """The profile to compute with."""
        return LayerProfile.from_json(self.to_json())
