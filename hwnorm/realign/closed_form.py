"""Re-alignment without gradients: linear layers refitted in sequence, by ridge regression."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from hwnorm.data.images import ImageSet
from hwnorm.norms import NormSite, find_norms
from hwnorm.progress import track
from hwnorm.realign.residual import Projection, find_projections
from hwnorm.realign.ridge import Ridge
from hwnorm.realign.walk import Walk
from hwnorm.replace import replace_norms


@torch.no_grad()
def realign(
    model: nn.Module,
    functions: Mapping[str, nn.Module],
    images: ImageSet,
    *,
    ridge: float = 1e-3,
    batch: int = 100,
    progress: str | None = None,
) -> nn.Module:
    """Replace norms and refit the linear layers around them, so that the network is itself again.

    In the order of execution, for each replaced norm: the linear layers that read it are refitted so
    that their pre-activations on the student's own input come back to the teacher's; then the output
    projection after it, so that the student's residual stream comes back to the teacher's. Each fit
    sees the student as the fits before have left it. No labels are used.

    Args:
        model: the teacher, in evaluation mode; stays as it is.
        functions: norm name -> elementwise function.
        ridge: penalty on leaving the folded weights, relative to the mean diagonal of X^T X.
        batch: images a forward pass.
        progress: label of the progress bar; None shows none.

    Raises:
        InputError: a norm cannot be replaced (:func:`hwnorm.replace.replace_norms`).
    """
    student = replace_norms(model, functions)
    sites = [site for site in find_norms(model) if site.name in functions]
    projections = find_projections(model, find_norms(model))
    teacher_walk, student_walk = Walk(model, images, batch), Walk(student, images, batch)
    for site in track(sites, progress, len(sites)) if progress else sites:
        _refit_consumers(site, teacher_walk, student_walk, ridge)
        if site.name in projections:
            _refit_projection(projections[site.name], teacher_walk, student_walk, ridge)
    return student


def _refit_consumers(site: NormSite, teacher: Walk, student: Walk, strength: float) -> None:
    """Refit the readers of a norm to the teacher's pre-activations."""
    block = student.block_of(site.consumers[0])
    for walk in (teacher, student):
        walk.advance(block)
    fits = {name: _fit(student, name, strength) for name in site.consumers}
    passes = zip(teacher.passes([], site.consumers), student.passes(site.consumers, []), strict=True)
    for wanted, seen in passes:
        for name, fit in fits.items():
            fit.add(seen[name], wanted[name])
    for fit in fits.values():
        fit.solve()


def _refit_projection(projection: Projection, teacher: Walk, student: Walk, strength: float) -> None:
    """Refit an output projection so that the stream after it is the teacher's."""
    fit = _fit(student, projection.name, strength)
    passes = zip(
        teacher.passes([projection.after], []),
        student.passes([projection.before, projection.name], []),
        strict=True,
    )
    for wanted, seen in passes:
        missing = wanted[projection.after] - seen[projection.before]
        fit.add(seen[projection.name], missing / projection.scale)
    fit.solve()


def _fit(walk: Walk, name: str, strength: float) -> Ridge:
    linear = walk.model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return Ridge(linear, strength)
