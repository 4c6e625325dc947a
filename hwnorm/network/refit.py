"""Refit the layers around replaced norms, one after the other, so that a network is its teacher again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from hwnorm.network.norms import NormSite, find_norms
from hwnorm.network.refine import Rows, refine
from hwnorm.network.replacement import ChannelAffine
from hwnorm.network.replay import Replay
from hwnorm.network.residual import Projection, find_projections
from hwnorm.network.ridge import Ridge

#: A layer's input is kept for all images while it is refitted, if it takes so many bytes at most.
_KEPT = 2**31


@dataclass(frozen=True, slots=True)
class Refit:
    """One fit: the layer, what it was fitted to, and the share of those targets' variance that is left.

    For class probabilities, of their divergence (:func:`hwnorm.realign.head.refit_head`).
    """

    layer: str
    target: str
    left: float


class Teacher(Protocol):
    """What the original network has at the places where a student is refitted, batch by batch."""

    model: nn.Module

    def reads(self, names: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
        """The inputs of the named layers, which read the same norm; or of that norm itself."""

    def stream(self, projection: Projection) -> Iterator[Tensor]:
        """The residual stream after a projection."""


class Walk:
    """A teacher that is carried along with its student: the memory is that of one place."""

    def __init__(self, model: nn.Module, batches: Iterable[Tensor], around: Around) -> None:
        self.model = model
        self._replay = Replay(model, batches, around.layers, example_inputs=around.example)

    def reads(self, names: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
        return self._replay.advancing(names[0], names)

    def stream(self, projection: Projection) -> Iterator[Tensor]:
        after = projection.after
        return (seen[after] for seen in self._replay.advancing(after, [after]))


@dataclass(frozen=True, slots=True)
class Weighing:
    """What the images, tokens and values of a fit weigh.

    ``held`` says whether a batch is held out of the fits to choose their strength by, ``tokens`` gives a
    layer's (tokens,) of a batch, or None where all weigh alike, and ``values`` the (tokens, outputs) that it
    is refined by, each once. ``enough`` is as in :meth:`hwnorm.network.ridge.Ridge.solve`.
    """

    held: Callable[[int], bool]
    tokens: Callable[[str, int], Tensor | None]
    values: Callable[[str, int], Tensor | None] = lambda name, i: None
    enough: float = 0.0


@dataclass(frozen=True)
class Around:
    """The norms of a network that are replaced, and by each the projection that is refitted after it.

    ``example`` is what the network was traced by: some of its inputs, (n, ...).
    """

    sites: tuple[NormSite, ...]
    projections: Mapping[str, Projection]
    example: Tensor

    @classmethod
    def of(cls, model: nn.Module, layers: Iterable[str], example: Tensor) -> Around:
        """Of all norms of the model those in ``layers``.

        Raises:
            InputError: the model has no norm.
        """
        found, wanted = find_norms(model, example_inputs=example), set(layers)
        # Where the norms of queries and keys stay, the one before them is the last that is replaced.
        projections = {
            name if name in wanted else projection.before: projection
            for name, projection in find_projections(model, found, example_inputs=example).items()
        }
        return cls(tuple(site for site in found if site.name in wanted), projections, example)

    @property
    def layers(self) -> list[str]:
        """All modules at which a student or a teacher stops."""
        names = [name for site in self.sites for name in (site.name, *site.consumers)]
        return names + [name for p in self.projections.values() for name in (p.before, p.name, p.after)]


class Student:
    """A network whose norms are replaced, and its images on their way through it.

    Args:
        batches: the first of them are the teacher's.
        fitted: so many are; the others are only carried along. None: all.
    """

    def __init__(
        self, model: nn.Module, batches: Iterable[Tensor], around: Around, fitted: int | None = None
    ) -> None:
        self.model, self.around, self._fitted = model, around, fitted
        self.replay = Replay(model, batches, around.layers, example_inputs=around.example)

    def refit(self, site: NormSite, teacher: Teacher, weighing: Weighing) -> list[Refit]:
        """Carry the images on to the layers around a norm, and refit these in the order of execution.

        The consumers of the norm come back to the teacher's pre-activations, on the student's own input;
        where there are none, its weight and bias to the teacher's norm. The output projection after it
        brings the residual stream back to the teacher's.
        """
        found = self.refit_norm(site, teacher, weighing)
        projection = self.around.projections.get(site.name)
        if projection is not None:
            found.append(self._projection(projection, teacher, weighing))
        return found

    def refit_norm(self, site: NormSite, teacher: Teacher, weighing: Weighing) -> list[Refit]:
        """The first half of :meth:`refit`."""
        return (self._consumers if site.consumers else self._affine)(site, teacher, weighing)

    def _both(
        self, wanted: Iterator[Mapping[str, Tensor]], names: Sequence[str], layer: str | None
    ) -> Iterator[tuple[int, Mapping[str, Tensor], Mapping[str, Tensor]]]:
        """For each batch that is fitted its number, and what teacher and student have there.

        At the end the student's images have come to the layer, or are where they were.
        """
        replay = self.replay
        seen = replay.advancing(layer, names) if layer else replay.passes(names, self._fitted)
        for i, pair in enumerate(zip(wanted, islice(seen, self._fitted), strict=True)):
            yield i, *pair
        for _ in seen:
            pass  # what is not fitted is carried along

    def _consumers(self, site: NormSite, teacher: Teacher, weighing: Weighing) -> list[Refit]:
        names = list(site.consumers)
        fits = {}
        for name in names:
            layer = self.model.get_submodule(name)
            assert isinstance(layer, nn.Linear | nn.Conv2d)
            # A convolution in groups only takes the norm's affine up.
            if isinstance(layer, nn.Linear) or layer.groups == 1:
                fits[name] = Ridge(layer, teacher.model.get_submodule(name))
        rows: dict[str, list[Rows]] = {}
        # Behind the norm: its function is not computed again.
        for i, wanted, seen in self._both(teacher.reads(names), names, names[0]):
            for name, fit in fits.items():
                x, read = seen[name], wanted[name]
                fit.add(x, read, weighing.held(i), weighing.tokens(name, i))
                values = weighing.values(name, i)
                if values is not None:
                    target = teacher.model.get_submodule(name)(read)
                    picked = (x.reshape(-1, x.shape[-1]), target.reshape(-1, target.shape[-1]), values)
                    rows.setdefault(name, []).append(Rows(*picked))
        found = [
            Refit(name, "the teacher's pre-activations", fit.solve(weighing.enough))
            for name, fit in fits.items()
        ]
        for name, some in rows.items():
            layer = self.model.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            refine(layer, some)
        return found

    def _affine(self, site: NormSite, teacher: Teacher, weighing: Weighing) -> list[Refit]:
        """Each channel by itself."""
        affine, norm = (model.get_submodule(site.name) for model in (self.model, teacher.model))
        assert isinstance(affine, ChannelAffine)
        sums = torch.zeros(6, site.channels, dtype=torch.float64, device=affine.weight.device)
        for i, wanted, seen in self._both(teacher.reads([site.name]), [site.name], site.name):
            values = affine.function(seen[site.name]), norm(wanted[site.name])
            x, y = (t.movedim(site.axis, -1).reshape(-1, site.channels).double() for t in values)
            weight = weighing.tokens(site.name, i)
            w = torch.ones_like(x) if weight is None else weight.double()[:, None]
            sums += torch.stack([(w * t).sum(0) for t in (torch.ones_like(x), x, y, x * x, x * y, y * y)])
        count, x, y, xx, xy, yy = sums
        spread, both, variance = xx - x * x / count, xy - x * y / count, yy - y * y / count
        old = affine.weight.double()
        # A channel that does not vary keeps its weight.
        gain = torch.where(spread > 1e-6 * (xx + 1e-30), both / spread.clamp(min=1e-30), old)
        affine.weight.copy_(gain)
        affine.bias.copy_((y - gain * x) / count)
        left = (variance - 2 * gain * both + gain * gain * spread).sum() / variance.sum().clamp(min=1e-30)
        return [Refit(site.name, "the teacher's norm", float(left))]

    def _projection(self, p: Projection, teacher: Teacher, weighing: Weighing) -> Refit:
        layer = self.model.get_submodule(p.name)
        assert isinstance(layer, nn.Linear)
        (first,) = self.replay.passes([p.before], 1)
        rows = first[p.before].numel() // first[p.before].shape[-1] * len(self.replay)
        kept = rows * layer.in_features * 4 <= _KEPT
        fit = Ridge(layer)
        wanted = ({p.after: stream} for stream in teacher.stream(p))
        for i, aim, seen in self._both(wanted, [p.before, p.name], p.name if kept else None):
            start = seen[p.before]
            missing = aim[p.after].reshape(start.shape) - start
            fit.add(seen[p.name], missing / p.scale, weighing.held(i), weighing.tokens(p.name, i))
        return Refit(p.name, "what the residual stream lacks", fit.solve(weighing.enough))
