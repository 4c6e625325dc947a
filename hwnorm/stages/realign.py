"""Re-alignment of a run folder's network, and the scores that tell how well it went."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from hwnorm.data.mirrored import MirroredImages
from hwnorm.files import write_whole
from hwnorm.network.evaluate import evaluate
from hwnorm.network.norms import find_norms
from hwnorm.network.plausible import hardly_right
from hwnorm.network.replacement import functions_of, replace_norms, replaced, with_functions
from hwnorm.progress import warn
from hwnorm.realign.closed_form import realign as refit
from hwnorm.realign.distributed import is_first
from hwnorm.realign.finetune import Epoch
from hwnorm.realign.realigned import Realigned
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, REALIGNED
from hwnorm.runs.seals import weights_seal
from hwnorm.runs.settings import Finetune, RunSettings
from hwnorm.stages.tuning import tuned

#: Images of at most this many pixels are also fitted to mirrored: there the teacher's
#: activations are many for little work.
FEW_PIXELS = 64 * 64
#: The closed form is fitted to so many images at most, mirrored ones among them: of small ones more tell it
#: next to nothing, of others it is their activations' memory.
MOST_SMALL, MOST_LARGE = 30_000, 12_000
BATCH = 100


def realign(run: RunFolder, inputs: Inputs) -> None:
    """Write ``realigned.safetensors`` and ``realign.json``.

    Measured on the test images, each float and with the integers of the hardware: the original
    network, the one with functions in place of its norms and nothing else, the one that closed form
    re-aligned, and, if it is asked for, the one that was fine-tuned after that.

    Raises:
        InputError: no choice, or a layer that the model does not have.
    """
    s, tests, model = run.settings, inputs.test_images, inputs.model
    chosen = run.read(CHOICE).layers
    made_from = run.made_from(REALIGNED, inputs)
    if run.has(REALIGNED, made_from, beside=(run.realigned_weights,)) and run.stale(REALIGNED) is None:
        return
    functions, integers = (functions_of(chosen, fixed) for fixed in (False, True))
    images = inputs.training_images
    small = inputs.pixels <= FEW_PIXELS
    most = MOST_SMALL if small else MOST_LARGE
    doubled = small and MirroredImages.copies * len(images) <= most
    fit_images = MirroredImages(images) if doubled else images.limited(most)
    plain = replace_norms(model, functions)
    student, fits = refit(model, functions, fit_images, batch=BATCH if small else 32, progress="re-align")
    # The order is that of the table.
    networks = {
        "layernorm": model,
        "functions_only": plain,
        "functions_only_bit_true": with_functions(plain, integers),
        "realigned": student,
        "bit_true": with_functions(student, integers),
    }
    history: list[Epoch] = []
    if s.finetuning is not None:
        trained = with_functions(student, integers if s.hardware_in_loop else functions)
        sites = {site.name: site for site in find_norms(model)}
        history = tuned(s, inputs, trained, {c.layer: sites[c.layer] for c in chosen}, _checkpoint(run))
        networks |= {"closed_form": student, "closed_form_bit_true": networks["bit_true"]}
        networks |= {
            "realigned": with_functions(trained, functions),
            "bit_true": with_functions(trained, integers),
        }
    classes = int(getattr(model, "num_classes", 0)) if tests.labelled else 0
    scores = evaluate(networks, model, tests, classes, batch=BATCH if small else 32, progress="evaluate")
    if not is_first():
        return
    if (original := scores["layernorm"].top1) is not None:
        warn(hardly_right(original.percent / 100, 1 / classes, tests.description))
    weights = {name: value.contiguous() for name, value in networks["realigned"].state_dict().items()}
    # One entry: several would be written in any order.
    told = {"choice": made_from["choice"]}
    write_whole(run.realigned_weights, lambda beside: save_file(weights, beside, told))
    found = Realigned.model_validate(
        {
            "method": _method(s),
            "fit_images": len(fit_images) // fit_images.copies,
            "fit_images_from": fit_images.description,
            "test_images": len(tests),
            "test_images_from": tests.description,
            "test_fingerprint": tests.fingerprint,
            "seal": weights_seal(run.path),
            "top1": {name: score.top1.to_json() for name, score in scores.items() if score.top1 is not None},
            "paired": {
                name: score.paired.to_json() for name, score in scores.items() if score.paired is not None
            },
            "scores": {name: score.to_json() for name, score in scores.items()},
            "affines": {r.layer: r.affine for r in replaced(model, functions)},
            "fits": fits,
            "epochs": history,
        }
    )
    run.write(REALIGNED, found, made_from, beside=(run.realigned_weights,))
    _checkpoint(run).unlink(missing_ok=True)


def _checkpoint(run: RunFolder) -> Path:
    return run.path / "finetune.pt"


def _method(s: RunSettings) -> str:
    text = "closed form: linear layers refitted in sequence by ridge regression, no gradient step"
    if s.finetuning is None:
        return text
    what = {
        Finetune.A: "weight and bias at each norm by cross entropy",
        Finetune.F: "all weights by cross entropy",
        Finetune.D: "all weights by cross entropy and the teacher's logits",
        Finetune.FEATURES: "all weights towards the teacher's features, without labels",
    }[s.finetune]
    integers = ", through the bit-true functions" if s.hardware_in_loop else ""
    return f"{text}; then at most {s.epochs} epochs of AdamW on {what}{integers}"
