"""Two networks on the same images: their difference with its interval, and whether it may be chance."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion, 0..1 (E. B. Wilson, JASA 22, 1927)."""
    p = count / total
    centre = p + Z95**2 / (2 * total)
    half = Z95 * math.sqrt(p * (1 - p) / total + Z95**2 / (4 * total**2))
    scale = 1 + Z95**2 / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


@dataclass(frozen=True, slots=True)
class PairedAccuracy:
    """Of the same images: right in both networks, in the original alone, in the other alone, in neither."""

    both: int
    lost: int
    gained: int
    neither: int

    @classmethod
    def of(cls, right: Tensor, original: Tensor) -> PairedAccuracy:
        """From what the other network and the original have right: (images,) of bool each."""
        counts = [(a & b).sum() for a in (original, ~original) for b in (right, ~right)]
        both, lost, gained, neither = (int(count) for count in counts)
        return cls(both, lost, gained, neither)

    @property
    def total(self) -> int:
        return self.both + self.lost + self.gained + self.neither

    @property
    def difference(self) -> float:
        """The other network's accuracy less the original's, in points."""
        return 100.0 * (self.gained - self.lost) / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The difference's 95 % interval in points: method 10 of R. G. Newcombe, Stat. Med. 17:2635, 1998.

        It joins the Wilson intervals of both accuracies, by how much the two agree (phi, less a
        continuity correction).
        """
        n, right, before = self.total, self.both + self.gained, self.both + self.lost
        (low, high), (low_0, high_0) = wilson(right, n), wilson(before, n)
        p, p_0 = right / n, before / n
        agreement = float(self.both * self.neither - self.lost * self.gained)
        if agreement > 0:
            agreement = max(agreement - n / 2, 0.0)
        margins = right * (n - right) * before * (n - before)
        phi = agreement / math.sqrt(margins) if margins else 0.0

        def joined(a: float, b: float) -> float:
            return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

        least = p - p_0 - joined(p - low, high_0 - p_0)
        most = p - p_0 + joined(high - p, p_0 - low_0)
        return 100.0 * least, 100.0 * most

    @property
    def mcnemar_p(self) -> float:
        """Two-sided exact p of the images on which the two differ: as many lost as gained, but for chance.

        A binomial test of the discordant pairs (Q. McNemar, Psychometrika 12, 1947).
        """
        apart, fewer = self.lost + self.gained, min(self.lost, self.gained)
        term = tail = 1
        for k in range(fewer):
            term = term * (apart - k) // (k + 1)  # the binomial coefficient of k + 1, exact
            tail += term
        p: float = 2 * tail / 2**apart
        return min(1.0, p)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, with difference, interval and p."""
        return asdict(self) | {
            "difference": self.difference,
            "interval": list(self.interval),
            "mcnemar_p": self.mcnemar_p,
        }


@dataclass(frozen=True, slots=True)
class PairedCosine:
    """The mean over the same images of the cosine to the original's features, less the original's own (1)."""

    difference: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, cosines: Tensor, original: Tensor) -> PairedCosine:
        """From both networks' cosines, (images,) each; the interval is the normal one of the mean."""
        differences = (cosines - original).double()
        middle = float(differences.mean())
        half = Z95 * float(differences.std()) / math.sqrt(len(differences)) if len(differences) > 1 else 2.0
        return cls(middle, (max(-2.0, middle - half), min(2.0, middle + half)))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {"difference": self.difference, "interval": list(self.interval)}


def p_text(p: float) -> str:
    """A p for reading."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
