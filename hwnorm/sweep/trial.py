"""One trial: a run of every stage in one process, and the row that it ends with."""

from __future__ import annotations

import importlib.metadata
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hwnorm.artefact import first_fault
from hwnorm.errors import InputError
from hwnorm.files import digest, write_text
from hwnorm.progress import err
from hwnorm.runs.settings import RunSettings
from hwnorm.runs.studies import MEASURED, Result, read_row

if TYPE_CHECKING:
    from torch import nn

    from hwnorm.runs.inputs import Inputs

#: Makes a run in a folder and returns what :data:`MEASURED` names; the store is the study's.
RunTrial = Callable[[Path, RunSettings, Path], dict[str, Any]]


@dataclass(frozen=True)
class Trial:
    """What a worker needs to know: a folder, the settings, and the columns that tell them."""

    number: int
    folder: Path
    store: Path
    settings: RunSettings
    columns: dict[str, Any]

    @property
    def result(self) -> Path:
        """Is there when the trial has finished."""
        return self.folder / "result.json"


#: A process runs one trial at a time: models are watched by hooks, and threads would share them.
_ONE_AT_A_TIME = threading.Lock()


def perform(trial: Trial, run_trial: RunTrial) -> dict[str, Any]:
    """Run a trial, unless it has finished, and write its row; an exception is a row too."""
    with _ONE_AT_A_TIME:
        if trial.result.is_file():
            return read_row(trial.result)
        started = time.monotonic()
        try:
            measured = run_trial(trial.folder, trial.settings, trial.store)
            _result(trial, measured, None, 0.0)
        except Exception as error:
            told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            write_text(trial.folder / "error.txt", traceback.format_exc())
            return finish(trial, None, " ".join(told.split()), time.monotonic() - started)
        (trial.folder / "error.txt").unlink(missing_ok=True)
        return finish(trial, measured, None, time.monotonic() - started)


def finish(
    trial: Trial, measured: dict[str, Any] | None, error: str | None, seconds: float
) -> dict[str, Any]:
    """Write ``result.json``, with which a trial has finished; its row."""
    result = _result(trial, measured, error, seconds)
    made_from = {"settings": digest(trial.settings.model_dump(mode="json"))}
    result.write(trial.result, trial.settings.seed, made_from)
    return read_row(trial.result)


def _result(trial: Trial, measured: dict[str, Any] | None, error: str | None, seconds: float) -> Result:
    row = {
        "trial": trial.number,
        "state": "complete" if measured is not None else "failed",
        "error": error,
        **trial.columns,
        **{name: (measured or {}).get(name) for name in MEASURED},
        "torch_version": importlib.metadata.version("torch"),
        "seconds": round(seconds, 3),
    }
    try:
        return Result.model_validate(row)
    except ValidationError as wrong:
        raise InputError(f"what was measured, {first_fault(wrong)}") from None


#: The network of the last trial of this process, and what it is made from.
_network: tuple[str, nn.Module] | None = None


def _inputs_of(settings: RunSettings) -> Inputs:
    """Those of a trial; the network is loaded once for all trials of a process that have the same.

    A worker may live for days: weights are told apart by what the file holds, and images, which may change
    as well, are opened for each trial.
    """
    from hwnorm.runs.inputs import Inputs

    global _network
    weights = None if settings.weights is None else digest(settings.weights)
    key = digest(settings.model, settings.image_size, weights)
    if _network is not None and _network[0] == key:
        return Inputs(settings, _network[1])
    inputs = Inputs(settings)
    _network = key, inputs.model
    return inputs


def run_pipeline(folder: Path, settings: RunSettings, store: Path) -> dict[str, Any]:
    """Every stage in this process, with one thread: many trials keep the cores busier than many threads do.

    Raises:
        InputError: what any of the stages raises.
    """
    import torch

    from hwnorm.runs.folder import RunFolder
    from hwnorm.runs.store import Store
    from hwnorm.stages.main import STAGES, Work

    torch.set_num_threads(1)
    err.quiet = True  # the bars of many processes on one terminal
    if (folder / "run.json").is_file() and RunFolder.open(folder).settings != settings:
        shutil.rmtree(folder)  # half a trial from before the study's folder was moved
    run = RunFolder.create(folder, settings, force=True)
    run.store = Store(store)
    try:
        work = Work(_inputs_of(settings), jobs=1)
        _ = work.inputs.test_images
        run.start()
        for stage in STAGES[:-1]:  # a study's page stands for the report of each
            stage.perform(run, work)
    finally:
        run.store.release()
    return measure(folder)


def measure(folder: Path) -> dict[str, Any]:
    """What a finished run says, as the columns :data:`hwnorm.runs.studies.MEASURED`.

    Area, LUTs, flip-flops, DSP blocks and memories are the cost model's for all lanes of all kernels, without
    the stream wrapper; latency and clock those of the slowest kernel, None where nothing is built.

    Raises:
        InputError: an artefact is missing or damaged.
    """
    from hwnorm.choose.offers import area_of
    from hwnorm.cost.cost import fmax_mhz
    from hwnorm.runs.folder import RunFolder
    from hwnorm.runs.products import CHOICE, REALIGNED, VERDICTS
    from hwnorm.runs.settings import target_of

    run = RunFolder.open(folder)
    lanes = run.settings.lanes
    target = target_of(run.settings)
    chosen = run.read(CHOICE).layers
    built = [c.datapath for c in chosen if c.datapath is not None]
    used = [c.resources for c in chosen if c.datapath is not None]
    realigned = run.read(REALIGNED)
    labelled = bool(realigned.top1)
    scores = {
        name: found.cosine if found.top1 is None else found.top1.percent
        for name, found in realigned.scores.items()
    }
    return {
        "accuracy_name": "top-1" if labelled else "cosine",
        "accuracy_layernorm": scores["layernorm"],
        "accuracy_float": scores["realigned"],
        "accuracy_bit_true": scores["bit_true"],
        "test_images": realigned.test_images,
        "test_fingerprint": realigned.test_fingerprint,
        "area": round(lanes * sum(area_of(c.resources, target) for c in chosen), 1),
        "unit": target.unit,
        **{name: lanes * sum(getattr(r, name) for r in used) for name in ("lut", "ff", "dsp", "bram")},
        "latency": max((path.latency for path in built), default=0),
        "fmax_mhz": round(min(fmax_mhz(path.nodes, target) for path in built), 1) if built else None,
        "kernels": len(built),
        "folded": len(chosen) - len(built),
        "verified": all(verdict.passed for verdict in run.read(VERDICTS).packages),
    }
