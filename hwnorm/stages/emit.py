"""Packages for every layer of a run folder."""

from __future__ import annotations

import shutil

from hwnorm.emit.folded import emit_folded
from hwnorm.emit.package import emit_package
from hwnorm.expression import parse
from hwnorm.lowering.lower import unfused_resources
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.markers import Emitted
from hwnorm.runs.products import CHOICE, PACKAGES, PROFILE
from hwnorm.runs.seals import packages_seal
from hwnorm.runs.settings import target_of


def emit(run: RunFolder) -> None:
    """Write ``packages/TOP`` for each layer of the choice; packages of other layers go.

    Of a layer that folds there is a manifest alone, which says so.

    Raises:
        InputError: no choice.
    """
    chosen = run.read(CHOICE).layers
    target = target_of(run.settings)
    affines = {c.layer: run.read(PROFILE, c.layer).affine for c in chosen}
    made_from = run.made_from(PACKAGES, None)
    if run.has(PACKAGES, made_from) and run.stale(PACKAGES) is None:
        return
    tops = [c.top for c in chosen]
    for c in chosen:
        kernel = c.datapath
        if kernel is None:
            emit_folded(c.expression, c.top, run.package(c.top))
            continue
        formats = kernel.input, kernel.output
        emit_package(
            kernel,
            c.top,
            run.package(c.top),
            lanes=run.settings.lanes,
            resources=c.resources,
            unfused_resources=unfused_resources(parse(kernel.expression), *formats, target, kernel.clock_mhz),
            note=f"Stands in for the norm {c.layer} of {run.settings.model}.\n"
            f"Its weight and bias are {affines[c.layer]}.",
        )
    packages = run.at(PACKAGES).parent
    for folder in packages.iterdir():
        if folder.is_dir() and folder.name not in tops:
            shutil.rmtree(folder)
    emitted = Emitted(tops=tuple(tops), seal=packages_seal(run.path))
    run.write(PACKAGES, emitted, made_from, beside=(packages,))
