"""The search of every layer of a run folder, through one executor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.progress import err
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.markers import SearchStates
from hwnorm.runs.products import FRONT, PROFILE, SEARCH
from hwnorm.runs.settings import RunSettings, target_of
from hwnorm.search.grammar import operators_of
from hwnorm.search.layer import Front, SearchSettings
from hwnorm.search.live import LiveTable
from hwnorm.search.tasks import Executors, Job, Watcher, run_jobs
from hwnorm.workers import cluster_executor, workers


def search(run: RunFolder, jobs: int, cluster: str | None = None) -> None:
    """Write ``fronts/LAYER.json`` for each profile; those that are up to date stay.

    The fronts depend neither on ``jobs`` nor on the executor. Each is written as soon as it is found, and
    while a layer is searched ``search/LAYER.json`` holds its state: an interrupted search goes on from
    there, with the same random stream.

    Args:
        jobs: processes, where no cluster is named; with one it is this.
        cluster: what :func:`hwnorm.workers.cluster_client` takes.

    Raises:
        InputError: no profiles, an unknown target or operator, no such scheduler, or a layer for which
            nothing can be built.
    """
    target_of(run.settings)
    operators_of(run.settings.operators)
    pending: dict[str, _Pending] = {}
    for layer in run.layers(PROFILE):
        profile = run.read(PROFILE, layer)
        settings = layer_settings(run.settings, layer)
        made_from = run.made_from(FRONT, None, layer, warm_start=digest(settings.warm))
        if run.has(FRONT, made_from, layer):
            run.at(SEARCH, layer).unlink(missing_ok=True)
            continue
        job = Job(layer, profile.to_json(), settings, _kept(run, layer, made_from))
        pending[job.layer] = _Pending(job, profile.position, made_from)
    if not pending:
        return
    todo = [one.job for one in pending.values()]
    executors: Executors = partial(workers, min(jobs, len(todo) * run.settings.restarts))
    width = jobs
    if cluster is not None:
        executors, width = partial(cluster_executor, cluster), len(todo) * run.settings.restarts
    table = LiveTable(todo)
    with table.shown():
        run_jobs(todo, executors, width, _Keeper(run, pending, table))


def layer_settings(s: RunSettings, layer: str) -> SearchSettings:
    """The run's settings as one layer's search takes them, with the functions that it starts warm from."""
    return SearchSettings(
        input_bits=s.input_bits,
        output_bits=s.output_bits,
        target=s.target,
        cost_weights=s.cost_weights,
        clock_mhz=s.clock_mhz,
        population=s.population,
        generations=s.generations,
        seed=s.seed,
        restarts=s.restarts,
        max_lut=s.max_lut,
        max_latency=s.max_latency,
        no_dsp=s.no_dsp,
        operators=s.operators,
        warm=_warm(s.warm_start, layer),
    )


def _warm(folder: Path | None, layer: str) -> tuple[str, ...]:
    """The evolved functions of an earlier run's front of that layer, if it has one.

    Raises:
        InputError: the folder holds no fronts at all.
    """
    if folder is None:
        return ()
    if not any((folder / "fronts").glob("*.json")):
        raise InputError(f"option --warm-start: {folder}: has no fronts; a run folder with some is needed")
    path = folder / "fronts" / f"{layer}.json"
    return tuple(point.expression for point in Front.read(path).points) if path.is_file() else ()


@dataclass(frozen=True)
class _Pending:
    """A layer whose front is to be found."""

    job: Job
    position: int
    made_from: dict[str, str]


def _kept(run: RunFolder, layer: str, made_from: dict[str, str]) -> list[dict[str, Any] | None]:
    """The states of an interrupted search of the same inputs; none if there is none."""
    if not run.is_current(SEARCH, made_from, layer):
        return []
    return list(run.read(SEARCH, layer).states)


class _Keeper(Watcher):
    """Writes states and fronts into the run folder, and shows the table."""

    def __init__(self, run: RunFolder, pending: dict[str, _Pending], table: LiveTable) -> None:
        self._run, self._pending, self._table = run, pending, table

    def stepped(self, job: Job) -> None:
        made_from = self._pending[job.layer].made_from
        self._run.write(SEARCH, SearchStates(states=tuple(job.states)), made_from, job.layer)
        self._table.refresh()

    def finished(self, job: Job, front: dict[str, Any]) -> None:
        pending = self._pending[job.layer]
        found = Front.model_validate(front | {"position": pending.position})
        self._run.write(FRONT, found, pending.made_from, job.layer)
        state = self._run.at(SEARCH, job.layer)
        state.unlink(missing_ok=True)
        if state.parent.is_dir() and not any(state.parent.iterdir()):
            state.parent.rmdir()
        self._table.done(job.layer, len(found.points))

    def said(self, text: str) -> None:
        err.print(text, style="red", soft_wrap=True)
