"""Capture for a run folder."""

from __future__ import annotations

from hwnorm.capture.hooks import capture as capture_norms
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.norms import find_norms, select_norms
from hwnorm.progress import err
from hwnorm.run.folder import RunFolder
from hwnorm.run.inputs import Inputs
from hwnorm.run.settings import patterns


def capture(run: RunFolder, inputs: Inputs) -> None:
    """Start the run, and write ``profiles/LAYER.json`` for each norm that can be replaced.

    Raises:
        InputError: a model or images that cannot be used, a model without norms, or NaN on the way.
    """
    made_from = digest(inputs.fingerprint)
    try:
        found = find_norms(inputs.model)
    except InputError as error:
        raise InputError(f"model {run.settings.model!r}: {error}") from None
    sites = select_norms(found, patterns(run.settings.only), patterns(run.settings.skip))
    left = [site.name for site in found if site not in sites]
    if left:
        err.print(f"left as they are: {', '.join(left)}", highlight=False, soft_wrap=True)
    kept = [site.name for site in sites if not site.consumers]
    if kept:
        err.print(
            f"keep a weight and a bias a channel, for others than linear layers read them: {', '.join(kept)}",
            highlight=False,
            soft_wrap=True,
        )
    if run.started and all(run.is_current(run.profile(site.name), "profile", made_from) for site in sites):
        return
    err.print(f"images: {inputs.training_images.preparation}", highlight=False, markup=False, soft_wrap=True)
    affines = {site.name: site.affine for site in sites}
    profiles = capture_norms(inputs.model, inputs.training_images, sites, progress="capture")
    run.start()
    for position, (layer, profile) in enumerate(profiles.items()):
        head = {"layer": layer, "position": position, "affine": affines[layer]}
        body = head | profile.to_json()
        run.write(run.profile(layer), "profile", made_from, body)
