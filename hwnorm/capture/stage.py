"""Capture for a run folder."""

from __future__ import annotations

from hwnorm.capture.hooks import capture as capture_norms
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.norms import find_norms
from hwnorm.progress import err
from hwnorm.run.folder import RunFolder
from hwnorm.run.inputs import Inputs


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
    sites = [site for site in found if site.consumers]
    kept = [site.name for site in found if not site.consumers]
    if not sites:
        raise InputError(
            f"model {run.settings.model!r}: none of its norms ({', '.join(kept)}) is read by linear layers "
            "alone; there is nothing that its weight and bias could fold into"
        )
    if kept:
        err.print(f"left as they are, for others than linear layers read them: {', '.join(kept)}")
    if run.started and all(run.is_current(run.profile(site.name), "profile", made_from) for site in sites):
        return
    profiles = capture_norms(inputs.model, inputs.training_images, sites, progress="capture")
    run.start()
    for position, (layer, profile) in enumerate(profiles.items()):
        body = {"layer": layer, "position": position} | profile.to_json()
        run.write(run.profile(layer), "profile", made_from, body)
