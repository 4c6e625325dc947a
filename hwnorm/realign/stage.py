"""Re-alignment of a run folder's network, and the accuracies that tell how well it went."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from safetensors.torch import save_file
from torch import nn

from hwnorm.choose.choice import bit_true, read_choice
from hwnorm.data.varied import VariedImages
from hwnorm.evaluate import Accuracy, top1
from hwnorm.files import digest, write_whole
from hwnorm.realign.closed_form import realign as refit
from hwnorm.replace import replace_norms
from hwnorm.run.folder import RunFolder
from hwnorm.run.inputs import Inputs


def realign(run: RunFolder, inputs: Inputs) -> None:
    """Write ``realigned.safetensors`` and ``realign.json``.

    Four networks are measured on the test images: the original, the one with functions in place of
    its norms and nothing else, the re-aligned one, and that with the integers of the hardware.

    Raises:
        InputError: no choice, or a layer that the model does not have.
    """
    tests = inputs.test_images
    made_from = digest(run.choice, inputs.fingerprint, tests.fingerprint, run.settings.ridge)
    if run.is_current(run.realign, "realign", made_from) and run.realigned_weights.is_file():
        return
    chosen = read_choice(run.choice)
    functions = {c.layer: c.function for c in chosen}
    images = VariedImages(inputs.training_images)
    student = refit(inputs.model, functions, images, ridge=run.settings.ridge, progress="re-align")
    networks = {
        "layernorm": inputs.model,
        "functions_only": replace_norms(inputs.model, functions),
        "realigned": student,
        "bit_true": with_functions(student, bit_true(chosen)),
    }
    measured = {
        name: _accuracy(top1(network, tests, progress=f"evaluate {name.replace('_', ' ')}"))
        for name, network in networks.items()
    }
    weights = {name: value.contiguous() for name, value in student.state_dict().items()}
    write_whole(run.realigned_weights, lambda beside: save_file(weights, beside))
    body = {
        "method": "closed form: linear layers refitted in sequence by ridge regression, no gradient step",
        "fit_images": len(inputs.training_images),
        "fit_images_from": images.description,
        "test_images": len(tests),
        "test_images_from": tests.description,
        "test_fingerprint": tests.fingerprint,
        "top1": measured,
    }
    run.write(run.realign, "realign", made_from, body)


def with_functions(student: nn.Module, functions: Mapping[str, nn.Module]) -> nn.Module:
    """A copy of a network whose norms are replaced already, with other functions in their places."""
    changed = copy.deepcopy(student)
    for name, function in functions.items():
        changed.set_submodule(name, function)
    return changed


def _accuracy(measured: Accuracy) -> dict[str, object]:
    return {
        "correct": measured.correct,
        "total": measured.total,
        "percent": measured.percent,
        "interval": list(measured.interval),
    }
