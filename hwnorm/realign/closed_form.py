"""Re-alignment without gradients: linear layers refitted in sequence, by ridge regression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet
from hwnorm.network.refit import Around, Refit, Student, Walk, Weighing
from hwnorm.network.replacement import replace_norms
from hwnorm.network.sensitivity import sensitivity
from hwnorm.progress import track
from hwnorm.realign.head import head_of, refit_head

#: Of so many batches one is held out, to choose each fit's ridge strength by.
HELD_EVERY = 4


@dataclass(frozen=True, slots=True)
class _Batches:
    """The pixels of images, as often as they are asked for."""

    images: ImageSet
    size: int

    def __iter__(self) -> Iterator[Tensor]:
        return (pixels for pixels, _ in self.images.batches(self.size))


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

    In the order of execution, for each replaced norm (:meth:`hwnorm.network.refit.Student.refit`): the layers
    that read it are refitted so that their pre-activations on the student's own input come back to the
    teacher's (where nothing linear reads it, its weight and bias so that its output does); then the output
    projection after it, so that the student's residual stream comes back to the teacher's. Each fit sees the
    student as the fits before have left it, and weighs tokens by what the teacher's output makes of them
    (:func:`hwnorm.network.sensitivity.sensitivity`). A classifier's head, if it was refitted, is at last
    drawn to the teacher's class probabilities. No labels are used.

    The activations of teacher and student are carried forward together: each layer is computed once.

    Args:
        model: the teacher, in evaluation mode, any that takes what the images give; stays as it is.
        functions: norm name -> elementwise function.
        images: what is fitted to, of any shape (n, ...); the first of them trace the network.
        batch: images a forward pass.
        progress: label of the progress bar; None shows none.

    Returns:
        The student, and what each fit left over.

    Raises:
        InputError: a name is no norm of the model.
    """
    example = images.example()
    replaced = replace_norms(model, functions, example_inputs=example)
    around = Around.of(model, functions, example)
    readers = [name for site in around.sites for name in site.consumers if _is_linear(model, name)]
    others = [site.name for site in around.sites if not site.consumers and site.axis == -1]
    others += [projection.name for projection in around.projections.values()]
    found = sensitivity(
        model, images, batch, [*readers, *others], readers, progress and f"{progress}: weights"
    )

    def held(i: int) -> bool:
        # Copies of an image stay on one side.
        return i // images.copies % HELD_EVERY == HELD_EVERY - 1

    weighing = Weighing(
        held,
        lambda name, i: found.tokens[name][i] if name in found.tokens else None,
        lambda name, i: found.values.get(name, {}).pop(i, None),
    )
    teacher = Walk(model, _Batches(images, batch), around)
    student = Student(replaced, _Batches(images, batch), around)
    fits = []
    for site in track(around.sites, progress, len(around.sites)) if progress else around.sites:
        fits += student.refit(site, teacher, weighing)
    head = head_of(model, example_inputs=example)
    if head in readers:
        layer, original = (m.get_submodule(head) for m in (replaced, model))
        assert isinstance(layer, nn.Linear)
        pairs = [
            (seen[head], original(read[head]))
            for seen, read in zip(student.replay.passes([head]), teacher.reads([head]), strict=True)
        ]
        fit, unseen = ([p for i, p in enumerate(pairs) if held(i) == out] for out in (False, True))
        fits.append(Refit(head, "the teacher's class probabilities", refit_head(layer, fit, unseen)))
    return replaced, fits


def _is_linear(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name), nn.Linear)
