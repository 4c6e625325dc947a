"""Re-alignment without gradients: linear layers refitted in sequence, by ridge regression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.norms import NormSite, find_norms
from hwnorm.progress import track
from hwnorm.realign.residual import Projection, find_projections
from hwnorm.realign.ridge import Ridge
from hwnorm.realign.walk import Walk, find_route
from hwnorm.replacement import ChannelAffine, replace_norms
from hwnorm.sensitivity import WEIGHED, refit_weights

#: Of so many batches one is held out, to choose each fit's ridge strength by.
HELD_EVERY = 4


@dataclass(frozen=True, slots=True)
class Refit:
    """One fit: the layer, what it was fitted to, and the share of those targets' variance that is left."""

    layer: str
    target: str
    left: float


@torch.no_grad()
def realign(
    model: nn.Module,
    functions: Mapping[str, nn.Module],
    images: ImageSet,
    *,
    batch: int = 100,
    progress: str | None = None,
) -> tuple[nn.Module, list[Refit]]:
    """Replace norms and refit the linear layers around them, so that the network is itself again.

    In the order of execution, for each replaced norm: the layers that read it are refitted so
    that their pre-activations on the student's own input come back to the teacher's (where nothing linear
    reads it, its weight and bias so that its output does); then the output projection after it, so that
    the student's residual stream comes back to the teacher's. Each fit sees the student as the fits
    before have left it, and weighs tokens by what the teacher's output makes of them
    (:func:`hwnorm.sensitivity.token_weights`). No labels are used.

    It is one walk: the activations of teacher and student are carried forward together, and the cost grows
    with the depth, not with its square.

    Args:
        model: the teacher, in evaluation mode; stays as it is.
        functions: norm name -> elementwise function.
        batch: images a forward pass.
        progress: label of the progress bar; None shows none.

    Returns:
        The student, and what each fit left over.

    Raises:
        InputError: a name is no norm of the model.
    """
    student = replace_norms(model, functions)
    found = find_norms(model)
    sites = [site for site in found if site.name in functions]
    # Where the norms of queries and keys stay, the one before them is the last that is replaced.
    projections = {
        name if name in functions else projection.before: projection
        for name, projection in find_projections(model, found).items()
    }
    route = find_route(model)
    fitted = {name for site in sites for name in (site.consumers or (site.name,))}
    fitted |= {projection.name for projection in projections.values()}
    walks = _Walks(
        Walk(model, images, batch, route, constant=True),
        Walk(student, images, batch, route),
        refit_weights(model, next(iter(images.batches(WEIGHED)))[0], fitted),
    )
    fits = []
    for site in track(sites, progress, len(sites)) if progress else sites:
        fits += _refit_consumers(site, walks) if site.consumers else _refit_affine(site, walks)
        if site.name in projections:
            fits.append(_refit_projection(projections[site.name], walks))
    return student, fits


@dataclass(frozen=True, slots=True)
class _Walks:
    """Teacher and student at the same place, for the same images, and the weights of a module's tokens."""

    teacher: Walk
    student: Walk
    weights: Mapping[str, Tensor]

    def advance(self, names: tuple[str, ...]) -> None:
        for walk in (self.teacher, self.student):
            walk.advance(names)

    def layer(self, name: str) -> nn.Module:
        return self.student.model.get_submodule(name)

    def passes(
        self, teacher: tuple[list[str], list[str]], student: tuple[list[str], list[str]]
    ) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor], bool]]:
        """For each batch what was tapped (inputs, outputs) in both, and whether it is held out."""
        both = zip(self.teacher.passes(*teacher), self.student.passes(*student), strict=True)
        for i, (wanted, seen) in enumerate(both):
            # Copies of an image stay on one side.
            yield wanted, seen, i // self.teacher.images.copies % HELD_EVERY == HELD_EVERY - 1


def _refit_consumers(site: NormSite, walks: _Walks) -> list[Refit]:
    """Refit the readers of a norm to the teacher's pre-activations."""
    names = list(site.consumers)
    walks.advance((site.name,))
    fits = {name: ridge for name in names if (ridge := _ridge(walks.layer(name))) is not None}
    for wanted, seen, held in walks.passes(([], names), (names, [])):
        for name, fit in fits.items():
            fit.add(seen[name], wanted[name], held, walks.weights.get(name))
    return [Refit(name, "the teacher's pre-activations", fit.solve()) for name, fit in fits.items()]


def _refit_affine(site: NormSite, walks: _Walks) -> list[Refit]:
    """Fit weight and bias of a norm that keeps them to the teacher's output, each channel by itself."""
    affine = walks.layer(site.name)
    assert isinstance(affine, ChannelAffine)
    walks.advance((site.name,))
    sums = torch.zeros(6, site.channels, dtype=torch.float64, device=affine.weight.device)
    weight = walks.weights.get(site.name)
    for wanted, seen, _ in walks.passes(([], [site.name]), ([site.name], [])):
        value = affine.function(seen[site.name])
        x, y = (
            t.movedim(site.axis, -1).reshape(-1, site.channels).double() for t in (value, wanted[site.name])
        )
        w = torch.ones_like(x) if weight is None else weight.double().repeat(len(x) // len(weight))[:, None]
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


def _refit_projection(projection: Projection, walks: _Walks) -> Refit:
    """Refit an output projection so that the stream after it is the teacher's."""
    layer = walks.layer(projection.name)
    assert isinstance(layer, nn.Linear)
    fit = Ridge(layer)
    p = projection
    scale = p.scale.to(layer.weight.device)
    for wanted, seen, held in walks.passes(([p.after], []), ([p.before, p.name], [])):
        before = seen[p.before]
        missing = wanted[p.after].reshape(before.shape) - before
        fit.add(seen[p.name], missing / scale, held, walks.weights.get(p.name))
    return Refit(p.name, "what the residual stream lacks", fit.solve())


def _ridge(layer: nn.Module) -> Ridge | None:
    """None for a convolution in groups, which only takes the norm's affine up."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return None if isinstance(layer, nn.Conv2d) and layer.groups > 1 else Ridge(layer)
