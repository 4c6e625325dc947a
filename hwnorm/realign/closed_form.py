"""Re-alignment without gradients: linear layers refitted in sequence, by ridge regression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.network.norms import NormSite, find_norms
from hwnorm.network.replacement import ChannelAffine, replace_norms
from hwnorm.network.residual import Projection, find_projections
from hwnorm.network.ridge import Ridge
from hwnorm.network.sensitivity import Sensitivity, sensitivity
from hwnorm.network.walk import Walk, find_route
from hwnorm.progress import track
from hwnorm.realign.head import head_of, refit_head
from hwnorm.realign.refine import Rows, refine

#: Of so many batches one is held out, to choose each fit's ridge strength by.
HELD_EVERY = 4


@dataclass(frozen=True, slots=True)
class Refit:
    """One fit: the layer, what it was fitted to, and the share of those targets' variance that is left.

    For class probabilities, of their divergence (:func:`hwnorm.realign.head.refit_head`).
    """

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
    (:func:`hwnorm.network.sensitivity.token_weights`). A classifier's head, if it was refitted, is at last
    drawn to the teacher's class probabilities. No labels are used.

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
    readers = [name for site in sites for name in site.consumers if _is_linear(model, name)]
    others = [site.name for site in sites if not site.consumers and site.axis == -1]
    others += [projection.name for projection in projections.values()]
    walks = _Walks(
        Walk(model, images, batch, route, constant=True),
        Walk(student, images, batch, route),
        sensitivity(model, images, batch, [*readers, *others], readers, progress and f"{progress}: weights"),
    )
    fits = []
    for site in track(sites, progress, len(sites)) if progress else sites:
        fits += _refit_consumers(site, walks) if site.consumers else _refit_affine(site, walks)
        if site.name in projections:
            fits.append(_refit_projection(projections[site.name], walks))
    head = head_of(model)
    if head in readers:
        fits.append(_refit_head(head, walks))
    return student, fits


@dataclass(frozen=True, slots=True)
class _Walks:
    """Teacher and student at the same place, for the same images, and what weighs there."""

    teacher: Walk
    student: Walk
    weights: Sensitivity

    def advance(self, names: tuple[str, ...]) -> None:
        for walk in (self.teacher, self.student):
            walk.advance(names)

    def layer(self, name: str) -> nn.Module:
        return self.student.model.get_submodule(name)

    def passes(
        self, teacher: tuple[list[str], list[str]], student: tuple[list[str], list[str]]
    ) -> Iterator[tuple[int, dict[str, Tensor], dict[str, Tensor]]]:
        """For each batch its number, and what was tapped (inputs, outputs) in both."""
        both = zip(self.teacher.passes(*teacher), self.student.passes(*student), strict=True)
        for i, (wanted, seen) in enumerate(both):
            yield i, wanted, seen

    def held(self, i: int) -> bool:
        """Whether a batch is held out; copies of an image stay on one side."""
        return i // self.teacher.images.copies % HELD_EVERY == HELD_EVERY - 1

    def weight(self, name: str, i: int) -> Tensor | None:
        """Of each token of a batch; None where all count alike."""
        found = self.weights.tokens.get(name)
        return None if found is None else found[i]


def _refit_consumers(site: NormSite, walks: _Walks) -> list[Refit]:
    """Refit the readers of a norm to the teacher's pre-activations."""
    names = list(site.consumers)
    walks.advance((site.name,))
    fits = {name: ridge for name in names if (ridge := _ridge(walks.layer(name))) is not None}
    rows: dict[str, list[Rows]] = {}
    for i, wanted, seen in walks.passes(([], names), (names, [])):
        for name, fit in fits.items():
            x, target = seen[name], wanted[name]
            fit.add(x, target, walks.held(i), walks.weight(name, i))
            # Taken out: they weigh in no other fit.
            values = walks.weights.values.get(name, {}).pop(i, None)
            if values is not None:
                picked = Rows(x.reshape(-1, x.shape[-1]), target.reshape(-1, target.shape[-1]), values)
                rows.setdefault(name, []).append(picked)
    found = [Refit(name, "the teacher's pre-activations", fit.solve()) for name, fit in fits.items()]
    for name, some in rows.items():
        layer = walks.layer(name)
        assert isinstance(layer, nn.Linear)
        refine(layer, some)
    return found


def _refit_affine(site: NormSite, walks: _Walks) -> list[Refit]:
    """Fit weight and bias of a norm that keeps them to the teacher's output, each channel by itself."""
    affine = walks.layer(site.name)
    assert isinstance(affine, ChannelAffine)
    walks.advance((site.name,))
    sums = torch.zeros(6, site.channels, dtype=torch.float64, device=affine.weight.device)
    for i, wanted, seen in walks.passes(([], [site.name]), ([site.name], [])):
        value = affine.function(seen[site.name])
        x, y = (
            t.movedim(site.axis, -1).reshape(-1, site.channels).double() for t in (value, wanted[site.name])
        )
        weight = walks.weight(site.name, i)
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


def _refit_projection(projection: Projection, walks: _Walks) -> Refit:
    """Refit an output projection so that the stream after it is the teacher's."""
    layer = walks.layer(projection.name)
    assert isinstance(layer, nn.Linear)
    fit = Ridge(layer)
    p = projection
    for i, wanted, seen in walks.passes(([p.after], []), ([p.before, p.name], [])):
        before = seen[p.before]
        missing = wanted[p.after].reshape(before.shape) - before
        fit.add(seen[p.name], missing / p.scale, walks.held(i), walks.weight(p.name, i))
    return Refit(p.name, "what the residual stream lacks", fit.solve())


def _refit_head(name: str, walks: _Walks) -> Refit:
    """Draw the head's class probabilities to the teacher's."""
    layer = walks.layer(name)
    assert isinstance(layer, nn.Linear)
    fit: list[tuple[Tensor, Tensor]] = []
    held: list[tuple[Tensor, Tensor]] = []
    for i, wanted, seen in walks.passes(([], [name]), ([name], [])):
        (held if walks.held(i) else fit).append((seen[name], wanted[name]))
    return Refit(name, "the teacher's class probabilities", refit_head(layer, fit, held))


def _is_linear(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name), nn.Linear)


def _ridge(layer: nn.Module) -> Ridge | None:
    """None for a convolution in groups, which only takes the norm's affine up."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return None if isinstance(layer, nn.Conv2d) and layer.groups > 1 else Ridge(layer)
