"""Packages for every layer of a run folder."""

from __future__ import annotations

import shutil

from hwnorm.emit.folded import emit_folded
from hwnorm.emit.package import emit_package
from hwnorm.expression import parse
from hwnorm.files import digest, read_artefact
from hwnorm.lowering.lower import unfused_resources
from hwnorm.network.choice import read_choice
from hwnorm.run.folder import RunFolder
from hwnorm.targets.target import load_target


def emit(run: RunFolder) -> None:
    """Write ``packages/TOP`` for each layer of the choice; packages of other layers go.

    Of a layer that folds there is a manifest alone, which says so.

    Raises:
        InputError: no choice.
    """
    chosen = read_choice(run.choice)
    target = load_target(run.settings.target, run.settings.cost_weights)
    affines = {c.layer: affine_of(run, c.layer) for c in chosen}
    depends = run.settings.model, run.settings.lanes, affines, target.model_dump(mode="json")
    made_from = digest([c.to_json() for c in chosen], *depends)
    if run.has(run.emitted, "packages", made_from):
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
    for folder in (run.path / "packages").iterdir():
        if folder.is_dir() and folder.name not in tops:
            shutil.rmtree(folder)
    run.write(run.emitted, "packages", made_from, {"tops": tops}, run.emitted.parent)


def affine_of(run: RunFolder, layer: str) -> str:
    """Where a norm's weight and bias went, as its profile tells."""
    return str(read_artefact(run.profile(layer), "profile").get("affine", "not known"))
