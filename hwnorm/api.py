"""The main job from Python: what ``hwnorm run`` calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnorm.files import remove_strays
from hwnorm.integers.network import IntegerNetwork
from hwnorm.locks import alone_in
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.settings import make_settings
from hwnorm.stages.main import Finished, run_all
from hwnorm.stages.quantize import integer_network
from hwnorm.workers import jobs_at_a_time


def run(
    out: str | Path,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    force: bool = False,
    **settings: Any,
) -> Finished:
    """Take a trained transformer to verified RTL and a report; goes on where an earlier call stopped.

    Args:
        out: run folder to make or to go on with.
        jobs: processes at a time; None takes as many as there are cores. The results do not depend on it.
        cluster: address of a Dask scheduler, ``slurm:FILE`` or ``lsf:FILE``, for the search.
        force: start over in a folder that is in use.
        settings: fields of :class:`hwnorm.runs.settings.RunSettings`, the options of ``hwnorm run``:
            ``model``, ``weights``, ``data``, ``target``, ``clock_mhz``, ``total_area``, ``seed``, ...

    Returns:
        What was found; a kernel that failed a check is told of in it, and no exception.

    Raises:
        InputError: a setting is wrong, the folder holds another run or another process works in it, a tool is
            missing, or the model or the images cannot be used.
        ToolError: a tool failed.
    """
    at_a_time = jobs_at_a_time(jobs)
    folder = RunFolder.create(Path(out), make_settings(**settings), force)
    with alone_in(folder.path):
        remove_strays(folder.path)
        return run_all(folder, at_a_time, cluster)


def integer(run: str | Path) -> IntegerNetwork:
    """The integer network of a run folder, as ``hwnorm quantize`` has made it.

    Raises:
        InputError: there is none, it is damaged, or it does not belong to what lies beside it.
    """
    return integer_network(RunFolder.open(Path(run)))
