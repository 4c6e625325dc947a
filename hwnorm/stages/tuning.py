"""Gradient steps on a run's network: on a GPU if there is one, with ``torchrun`` on several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from hwnorm.network.norms import NormSite
from hwnorm.progress import err
from hwnorm.realign.distributed import is_first, processes
from hwnorm.realign.finetune import Epoch, Recipe, finetune
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import RunSettings


def tuned(
    settings: RunSettings,
    inputs: Inputs,
    student: nn.Module,
    sites: Mapping[str, NormSite],
    checkpoint: Path,
) -> list[Epoch]:
    """Train ``student`` in place as a run's settings ask for, and leave it on the CPU.

    Args:
        sites: its replaced norms by their names.
        checkpoint: written after each epoch, and gone on from.

    Raises:
        InputError: as :func:`hwnorm.realign.finetune.finetune`.
    """
    s = settings
    recipe = Recipe(method=s.finetune, epochs=s.epochs, learning_rate=s.learning_rate, seed=s.seed)  # type: ignore[arg-type]
    with processes() as device:
        if is_first():
            err.print(f"fine-tune ({s.finetune}) on {device}", highlight=False)
        try:
            return finetune(
                student.to(device), inputs.model.to(device), sites, inputs.training_images, recipe, checkpoint
            )
        finally:
            inputs.model.cpu()
            student.cpu()
