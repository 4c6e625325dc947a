"""Weights as codes, row by row: scales that a multiplier has exactly, rounding on the Gram matrix, bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from hwnorm.integers.operations import MULTIPLIER_BITS, product
from hwnorm.threads import in_threads

FloatArray = npt.NDArray[np.float64]

#: Bits that a row may have.
NARROW, WIDE = 4, 8
#: A multiplier's shift: sums of a layer whose scales are smaller than this has would round to nothing, and
#: a stream of 16 bits that is lifted so far fits 62.
MOST_SHIFT = 40
#: Pull of the Gram matrix's diagonal, a share of its mean, while rounding errors are passed on.
DAMPING = 0.01
#: Ends of a row's codes that are tried, as shares of its largest weight.
CLIPS = np.linspace(0.4, 1.0, 13)
#: Times each code is looked at again, when all others are known.
SWEEPS = 2
#: Columns whose errors are passed on to all others at once, and rows that a thread works on.
_COLUMNS, _ROWS = 64, 256


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Scales of rows as a rescaling has them: scale = multiplier * 2^-shift * ``unit``."""

    multiplier: npt.NDArray[np.int64]
    shift: int
    unit: float

    @classmethod
    def of(cls, scales: FloatArray, unit: float) -> Multipliers:
        """The nearest to some scales; the largest has all bits of a multiplier, the others its shift.

        A layer whose weights are all as good as nothing has no more than :data:`MOST_SHIFT`.
        """
        most = (1 << (MULTIPLIER_BITS - 1)) - 1
        shift = min(MOST_SHIFT, math.floor(math.log2(most / (float(scales.max()) / unit))))
        found = np.clip(np.round(scales / unit * 2.0**shift), 1, most).astype(np.int64)
        return cls(found, shift, unit)

    @property
    def scales(self) -> FloatArray:
        return np.asarray(self.multiplier * 2.0**-self.shift * self.unit)


def largest_code(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Of symmetric narrow codes: 7 and 127."""
    return (1 << (bits.astype(np.int64) - 1)) - 1


def scales(weight: FloatArray, gram: FloatArray, bits: npt.NDArray[np.uint8]) -> FloatArray:
    """Each row's scale: of :data:`CLIPS` the one whose nearest codes leave the least error.

    Args:
        weight: (rows, inputs).
        gram: of the inputs, their means taken off: (inputs, inputs).
    """

    def part(some: slice) -> FloatArray:
        own, most = weight[some], largest_code(bits[some])
        widest = np.maximum(np.abs(own).max(1), 1e-12)
        best, least = widest / most, np.full(len(own), np.inf)
        for clip in CLIPS:
            scale = clip * widest / most
            found = errors(own, gram, nearest(own, scale, most), scale)
            better = found < least
            best, least = np.where(better, scale, best), np.where(better, found, least)
        return np.asarray(best)

    return _by_rows(part, len(weight))


def _by_rows(part: Callable[[slice], FloatArray], rows: int) -> FloatArray:
    """What is found for some rows at a time, side by side."""
    slices = [slice(start, start + _ROWS) for start in range(0, rows, _ROWS)]
    return np.concatenate(list(in_threads(part, slices)))


def nearest(weight: FloatArray, scale: FloatArray, most: npt.NDArray[np.int64]) -> FloatArray:
    """Each weight's nearest code, (rows, inputs)."""
    return np.asarray(np.clip(np.round(weight / scale[:, None]), -most[:, None], most[:, None]))


def rounded(
    weight: FloatArray,
    gram: FloatArray,
    scale: FloatArray,
    bits: npt.NDArray[np.uint8],
    damping: float = DAMPING,
    sweeps: int = SWEEPS,
) -> FloatArray:
    """Codes (rows, inputs) whose errors make up for each other in the row's output.

    Column by column, those with the largest mean square first: the error of a rounded code is passed on to
    the columns that are not rounded yet (E. Frantar et al., GPTQ, arXiv 2210.17323). Then each code is
    looked at again with all others known, by coordinate descent on delta^T G delta.

    Args:
        weight, gram: as :func:`scales` takes them.
        damping: the larger, the less is passed on. Of few rows the Gram matrix is that of their noise, and
            an error that is nothing to them is one to others.
        sweeps: times each code is looked at again.
    """
    most = largest_code(bits).astype(np.float64)
    damped = gram.copy()
    # An input that is always the same says nothing.
    damped.flat[:: len(gram) + 1] += damping * gram.diagonal().mean() + 1e-12
    order = np.argsort(-gram.diagonal(), kind="stable")
    inverse = torch.linalg.inv(torch.from_numpy(damped[np.ix_(order, order)]))
    upper = torch.linalg.cholesky((inverse + inverse.T) / 2).T.contiguous().numpy()

    def part(some: slice) -> FloatArray:
        own, scale_of, most_of = weight[some], scale[some], most[some]
        found = np.empty_like(own)
        found[:, order] = _passed_on(own[:, order], upper, scale_of, most_of)
        return _settled(found, own, damped, scale_of, most_of, sweeps)

    return _by_rows(part, len(weight))


def _passed_on(rest: FloatArray, upper: FloatArray, scale: FloatArray, most: FloatArray) -> FloatArray:
    codes = np.zeros_like(rest)
    for start in range(0, rest.shape[1], _COLUMNS):
        end = min(start + _COLUMNS, rest.shape[1])
        steps = np.zeros((len(rest), end - start))
        for j in range(start, end):
            codes[:, j] = np.clip(np.round(rest[:, j] / scale), -most, most)
            step = (rest[:, j] - codes[:, j] * scale) / upper[j, j]
            rest[:, j + 1 : end] -= step[:, None] * upper[j, j + 1 : end]
            steps[:, j - start] = step
        rest[:, end:] -= product(steps, upper[start:end, end:])
    return codes


def _settled(
    codes: FloatArray,
    weight: FloatArray,
    gram: FloatArray,
    scale: FloatArray,
    most: FloatArray,
    sweeps: int,
) -> FloatArray:
    pull = product(weight - codes * scale[:, None], gram)
    diagonal = gram.diagonal()
    for _ in range(sweeps):
        for start in range(0, codes.shape[1], _COLUMNS):
            end = min(start + _COLUMNS, codes.shape[1])
            before, own = codes[:, start:end].copy(), pull[:, start:end].copy()
            for j in range(start, end):
                at = j - start
                wanted = np.clip(np.round(codes[:, j] + own[:, at] / (diagonal[j] * scale)), -most, most)
                step = (wanted - codes[:, j]) * scale
                codes[:, j] = wanted
                own[:, at + 1 :] -= step[:, None] * gram[j, j + 1 : end]
            moved = (codes[:, start:end] - before) * scale[:, None]
            pull -= product(moved, gram[start:end])
    return codes


def refitted_scales(weight: FloatArray, gram: FloatArray, codes: FloatArray, scale: FloatArray) -> FloatArray:
    """The scale of least error for a row's codes; the one it has where the codes are nothing."""
    along = product(codes, gram)
    square = (along * codes).sum(1)
    better = (along * weight).sum(1) / np.where(square > 0, square, 1.0)
    return np.asarray(np.where((square > 0) & (better > 0), better, scale))


def errors(weight: FloatArray, gram: FloatArray, codes: FloatArray, scale: FloatArray) -> FloatArray:
    """delta^T G delta of each row."""
    delta = weight - codes * scale[:, None]
    return np.asarray((product(delta, gram) * delta).sum(1))


def counts(rows: int, step: int) -> list[int]:
    """How many rows of a layer may be wide: multiples of a step, and all."""
    return [*range(0, rows, step), rows]


def layer_count(rows: int, ratio: float, step: int) -> int:
    """The rows of one layer that a ratio makes wide: the nearest that the step allows, the fewer of two."""
    return min(counts(rows, step), key=lambda count: abs(count - ratio * rows))


def network_counts(
    gains: Sequence[FloatArray], costs: Sequence[int], ratio: float, step: int
) -> tuple[int, ...]:
    """How many rows of each layer are wide, so that the network gains most: the exact knapsack.

    Args:
        gains: of each layer what its rows gain by being wide, the best first.
        costs: what a wide row of each layer costs (bits, cycles).
        ratio: share of what all rows would cost that may be spent.
    """
    unit = math.gcd(
        *(cost * count for cost, g in zip(costs, gains, strict=True) for count in counts(len(g), step))
    )
    budget = int(ratio * sum(cost * len(g) for cost, g in zip(costs, gains, strict=True)) + 1e-9) // unit
    best = np.zeros(budget + 1)
    taken: list[npt.NDArray[np.int64]] = []
    for of_layer, cost in zip(gains, costs, strict=True):
        sums = np.concatenate([[0.0], np.cumsum(of_layer)])
        found, pick = np.full(budget + 1, -np.inf), np.zeros(budget + 1, dtype=np.int64)
        for count in counts(len(of_layer), step):
            spent = cost * count // unit
            if spent > budget:
                break
            tried = np.full(budget + 1, -np.inf)
            tried[spent:] = best[: budget + 1 - spent] + sums[count]
            better = tried > found
            found, pick = np.where(better, tried, found), np.where(better, count, pick)
        best = found
        taken.append(pick)
    left, chosen = budget, []
    for pick, cost in zip(reversed(taken), reversed(costs), strict=True):
        chosen.append(int(pick[left]))
        left -= cost * chosen[-1] // unit
    return tuple(reversed(chosen))
