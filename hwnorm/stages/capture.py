"""Capture for a run folder."""

from __future__ import annotations

from hwnorm.capture.hooks import capture as capture_norms
from hwnorm.errors import InputError
from hwnorm.names import layer_name
from hwnorm.network.norms import NormSite, find_norms, norms_left, select_norms
from hwnorm.network.plausible import Answers
from hwnorm.profile import Profile
from hwnorm.progress import err, warn
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import PROFILE
from hwnorm.runs.settings import patterns

#: So many norms of a kind that stays are named.
_MOST_NAMED = 4


def capture(run: RunFolder, inputs: Inputs) -> None:
    """Start the run, and write ``profiles/LAYER.json`` for each norm that can be replaced.

    Raises:
        InputError: a model or images that cannot be used, a model without norms, or NaN on the way.
    """
    made_from = run.made_from(PROFILE, inputs)
    try:
        found = find_norms(inputs.model)
        for site in found:
            layer_name(site.name)
    except (InputError, ValueError) as error:
        raise InputError(f"model {run.settings.model!r}: {error}") from None
    sites = select_norms(found, patterns(run.settings.only), patterns(run.settings.skip))
    # Each is asked for, found or not: what is missing is this run's to write.
    there = [run.started and run.has(PROFILE, made_from, site.name) for site in sites]
    if all(there):
        return
    by_name = {site.name: site for site in sites}
    images = inputs.training_images
    classes = int(getattr(inputs.model, "num_classes", 0)) if images.labelled else 0
    answers = Answers(classes)
    profiles = capture_norms(
        inputs.model, images, sites, progress="capture", watch=answers.see if classes else None
    )
    run.start()
    _tell(found, sites, inputs)
    if classes:
        warn(answers.doubt(images.description))
    for position, (layer, profile) in enumerate(profiles.items()):
        site = by_name[layer]
        told = {"layer": layer, "position": position, "affine": site.affine, "whole": site.whole}
        artefact = Profile.model_validate(told | profile.to_json())
        run.write(PROFILE, artefact, made_from, layer)


def _tell(found: list[NormSite], sites: list[NormSite], inputs: Inputs) -> None:
    """Say how images were prepared and what is not as usual, once nothing can be refused any more."""
    images = inputs.training_images
    lines = [f"images: {images.preparation}"]
    if images.numbered:
        lines.append(f"labels: {images.numbered}")
    left = [site.name for site in found if site not in sites]
    if left:
        lines.append(f"left as they are: {', '.join(left)}")
    others: dict[str, list[str]] = {}
    for name, why in norms_left(inputs.model, found).items():
        others.setdefault(why, []).append(name)
    lines += [
        f"left as they are, {len(names)} of {why}: {', '.join(names[:_MOST_NAMED])}"
        + (", ..." if len(names) > _MOST_NAMED else "")
        for why, names in others.items()
    ]
    kept = [site.name for site in sites if not site.consumers]
    if kept:
        lines.append(
            f"keep a weight and a bias a channel, for others than linear layers read them: {', '.join(kept)}"
        )
    for line in lines:
        err.print(line, highlight=False, soft_wrap=True)
