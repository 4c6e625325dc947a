"""A point of a front as a run folder: its network, its integers, its engine."""

from __future__ import annotations

import shutil
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.files import new_folder
from hwnorm.nas.nas import FRONT
from hwnorm.nas.points import point_folder
from hwnorm.nas.spacefile import NasStudy, as_it_stands
from hwnorm.nas.stored import NasFront
from hwnorm.network.subnet import weights_file
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.engine import engine
from hwnorm.stages.quantize import quantize
from hwnorm.supernet.stored import SUBNET


def read_front(study: NasStudy) -> NasFront:
    """The front that a study has.

    Raises:
        InputError: it has none yet, or a damaged one.
    """
    path = study.folder / FRONT
    if not path.is_file():
        raise InputError(f"{path}: not there; run `hwnorm nas {study.path}` first")
    return NasFront.read(path, f"`hwnorm nas {study.path}` makes it again")


def emit_point(study: NasStudy, front: NasFront, number: int, folder: Path) -> Path:
    """Write a point's run folder: ``subnet.json`` with its weights, the integers, the engine's package.

    Every command on run folders works there: ``hwnorm cosim`` holds it against its Verilog.

    Args:
        number: of the point, from 1.

    Raises:
        InputError: the folder is not empty, or what the study has built of the point is gone.
    """
    with new_folder(folder, "--emit") as beside:
        point = front.points[number - 1]
        built = point_folder(study, point.subnet.subnet()) / SUBNET
        if not built.is_file():
            raise InputError(f"{built}: not there; `hwnorm nas {study.path}` builds it again")
        for path in (built, weights_file(built)):
            shutil.copyfile(path, beside / path.name)
        settings = as_it_stands(study.settings, folder / SUBNET)
        inputs = Inputs(settings.model_copy(update={"model": str(beside / SUBNET)}))
        run = RunFolder(beside, settings, started=False)
        run.start()
        quantize(run, inputs)
        engine(run, inputs, front.budget)
    return folder
