"""The search of every layer of a run folder, through one executor."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.files import body, digest, read_artefact
from hwnorm.progress import err
from hwnorm.run.folder import RunFolder, layer_files
from hwnorm.run.settings import RunSettings
from hwnorm.search.grammar import operators_of
from hwnorm.search.layer import Front, SearchSettings
from hwnorm.search.live import LiveTable
from hwnorm.search.tasks import Executors, Job, Watcher, run_jobs
from hwnorm.targets.target import load_target
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
    target = load_target(run.settings.target, run.settings.cost_weights).model_dump(mode="json")
    operators_of(run.settings.operators)
    pending: dict[str, tuple[Job, int, str]] = {}
    for path in layer_files(run.path / "profiles", "capture"):
        data = read_artefact(path, "profile")
        settings = layer_settings(run.settings, data["layer"])
        made_from = digest(body(data), asdict(settings), target)
        if run.has(run.front(data["layer"]), "front", made_from):
            run.search(data["layer"]).unlink(missing_ok=True)
            continue
        job = Job(data["layer"], data, settings, _kept(run, data["layer"], made_from))
        pending[job.layer] = job, data["position"], made_from
    if not pending:
        return
    todo = [job for job, _, _ in pending.values()]
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
    if not path.is_file():
        return ()
    return tuple(point.expression for point in Front.from_json(read_artefact(path, "front")).points)


def _kept(run: RunFolder, layer: str, made_from: str) -> list[dict[str, Any] | None]:
    """The states of an interrupted search of the same inputs; none if there is none."""
    path = run.search(layer)
    if not run.is_current(path, "search", made_from):
        return []
    return list(read_artefact(path, "search")["states"])


class _Keeper(Watcher):
    """Writes states and fronts into the run folder, and shows the table."""

    def __init__(self, run: RunFolder, pending: dict[str, tuple[Job, int, str]], table: LiveTable) -> None:
        self._run, self._pending, self._table = run, pending, table

    def stepped(self, job: Job) -> None:
        _, _, made_from = self._pending[job.layer]
        self._run.write(self._run.search(job.layer), "search", made_from, {"states": job.states})
        self._table.refresh()

    def finished(self, job: Job, front: dict[str, Any]) -> None:
        _, position, made_from = self._pending[job.layer]
        self._run.write(self._run.front(job.layer), "front", made_from, {"position": position} | front)
        self._run.search(job.layer).unlink(missing_ok=True)
        folder = self._run.search(job.layer).parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        self._table.done(job.layer, len(front["points"]))

    def said(self, text: str) -> None:
        err.print(text, style="red", markup=False, soft_wrap=True)
