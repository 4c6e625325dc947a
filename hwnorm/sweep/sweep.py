"""The sweep: asks for trials, has them run by workers, and keeps what they find."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from hwnorm.errors import InputError
from hwnorm.progress import err
from hwnorm.sweep.folder import begin, finished, locked, numbered
from hwnorm.sweep.live import View
from hwnorm.sweep.study import Parameters, Study
from hwnorm.sweep.table import column_types, need_sweep
from hwnorm.sweep.trial import RunTrial, Trial, finish, perform, run_pipeline
from hwnorm.tabular import write_parquet
from hwnorm.workers import cluster_client, processes_apart

if TYPE_CHECKING:
    from hwnorm.sweep.book import Book

#: How often a trial whose process is lost is tried before it is recorded as failed.
TRIES = 3
#: The table is written again when this many seconds have passed, and this many times what writing it took:
#: what that costs a trial does not grow with their number.
TABLE_EVERY_S, TABLE_SHARE = 3.0, 50.0
#: Settings on which only what comes after the survey of functions depends: the shorter part of a trial.
LATE = {
    "within",
    "total_area",
    "max_loss",
    "lanes",
    "finetune",
    "epochs",
    "learning_rate",
    "hardware_in_loop",
}


@dataclass(frozen=True)
class Summary:
    """How a sweep ended: its rows, in the order of trials, and how many of them it ran now."""

    rows: list[dict[str, Any]]
    ran: int

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The rows of trials that failed."""
        return [row for row in self.rows if row["state"] == "failed"]


def sweep(
    study: Study,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    retry_failed: bool = False,
    run_trial: RunTrial = run_pipeline,
) -> Summary:
    """Run the trials of a study that have not finished, and write its table.

    Args:
        jobs: processes, where no cluster is named; the table does not depend on it, save the seconds, and
            with ``nsga2`` and ``tpe`` what is tried.
        cluster: address of a Dask scheduler, ``slurm:FILE`` or ``lsf:FILE``
            (:func:`hwnorm.workers.cluster_client`). The study's folder must be one that its workers see.
        retry_failed: run those again that have failed.
        run_trial: what is run instead of the pipeline; a function that can be pickled.

    Raises:
        InputError: a package or tool is missing, the study's folder belongs to another study file, another
            process runs it, or the cluster cannot be had.
    """
    need_sweep()
    from hwnorm.sweep.book import Book

    with locked(study):
        new, history = begin(study)
        results = finished(study)
        for number, row in list(results.items()):
            if retry_failed and row["state"] == "failed":
                (study.trial(number) / "result.json").unlink()
                del results[number]
        try:
            book = Book(study, new)
        except InputError:
            if new:
                (study.folder / "study.json").unlink()  # nothing has begun
            raise
        source: _Source = _Asked(study, book, results)
        if study.file.study.sampler == "grid":
            source = _Grid(study, numbered(history), results)
        keeper = _Keeper(study, book, source, results)
        try:
            if source.left() and cluster is None and run_trial is run_pipeline:
                _check_tools()
            try:
                if source.left():
                    with _executor(cluster, min(jobs, source.left())) as (pool, width), keeper.view.shown():
                        _run(study, source, keeper, run_trial, pool, width)
            finally:
                keeper.write()
        except InputError:
            if new and not keeper.ran:
                for name in ("study.json", "optuna.sqlite3", "results.parquet"):  # nothing has begun
                    (study.folder / name).unlink(missing_ok=True)
            raise
        return Summary(keeper.rows(), keeper.ran)


def _check_tools() -> None:
    """A missing tool is told of once, not by every trial."""
    from hwnorm.verify.toolchain import find_toolchain

    find_toolchain()


@contextmanager
def _executor(cluster: str | None, jobs: int) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """What runs the trials, and how many at a time."""
    if cluster is None:
        with processes_apart(jobs) as pool:
            yield pool, lambda: jobs
        return
    with cluster_client(cluster) as client, client.get_executor() as pool:

        def width() -> int:
            if client.status != "running":
                raise InputError(
                    f"option --cluster: the scheduler at {cluster} is gone; "
                    "what is finished stays, and the same command goes on from there"
                )
            return max(1, len(client.nthreads()))

        yield pool, width


class _Grid:
    """The trials of a grid that have not finished, so ordered that those side by side share little.

    Trials that are equal in all that search and choice depend on wait for the first of them to have it done:
    one of each kind comes first, then the next of each.
    """

    def __init__(self, study: Study, trials: list[Parameters], results: dict[int, dict[str, Any]]) -> None:
        self.parameters = dict(enumerate(trials))
        self.total = len(trials)
        turns: Counter[str] = Counter()
        order = []
        for number, parameters in self.parameters.items():
            early = {name: v for name, v in study.given(parameters).items() if name not in LATE}
            kind = json.dumps(early, sort_keys=True)
            turns[kind] += 1
            order.append((turns[kind], number))
        self._left = [number for _, number in sorted(order, reverse=True) if number not in results]

    def left(self) -> int:
        """How many there are still to be had from :meth:`take`."""
        return len(self._left)

    def take(self) -> int:
        """The number of the next trial."""
        return self._left.pop()


class _Asked:
    """Trials of a sampler: those that were interrupted or are retried first, then new ones."""

    def __init__(self, study: Study, book: Book, results: dict[int, dict[str, Any]]) -> None:
        self._book = book
        self.parameters = book.asked
        self.total = max(study.file.study.trials or 0, len(book.asked))
        self._left = [number for number in sorted(book.asked, reverse=True) if number not in results]

    def left(self) -> int:
        return len(self._left) + self.total - len(self.parameters)

    def take(self) -> int:
        return self._left.pop() if self._left else self._book.ask()[0]


_Source: TypeAlias = _Grid | _Asked


class _Keeper:
    """What the sweep knows: rows, Optuna's study, the table, and the view of them."""

    def __init__(self, study: Study, book: Book, source: _Source, results: dict[int, dict[str, Any]]) -> None:
        self._study, self._book, self._source, self._results = study, book, source, results
        self._types = column_types(study.columns)
        self._due = time.monotonic() + TABLE_EVERY_S
        self.ran = 0
        self.view = View(study.name, source.total)
        for number, row in results.items():
            if number not in source.parameters:
                where = "Optuna's storage, whose sampler made it"
                raise InputError(f"{study.folder}: trial {number} is not in {where}: restore it")
            book.tell(row, source.parameters[number])
            self.view.add(row, now=False)

    def keep(self, row: dict[str, Any]) -> None:
        """A trial has finished."""
        self.ran += 1
        self._results[row["trial"]] = row
        self._book.tell(row, self._source.parameters[row["trial"]])
        self.view.add(row)
        if row["state"] == "failed":
            self.said(f"trial {row['trial']} failed: {row['error']}")

    def said(self, text: str) -> None:
        """Tell of something above the view."""
        err.print(text, style="red", highlight=False, soft_wrap=True)

    def rows(self) -> list[dict[str, Any]]:
        """By number, with the table's columns."""
        rows = [self._results[number] for number in sorted(self._results)]
        return [{name: row.get(name) for name in self._types} for row in rows]

    def write(self) -> None:
        """Write the table."""
        write_parquet(self._study.results, self.rows(), self._types)

    def write_if_due(self) -> None:
        """Write it if it was not for some time."""
        began = time.monotonic()
        if began >= self._due:
            self.write()
            took = time.monotonic() - began
            self._due = began + max(TABLE_EVERY_S, TABLE_SHARE * took)


@dataclass
class _Running:
    """A trial under way, and why it had to be run again, if it had."""

    trial: Trial
    lost: list[str] = field(default_factory=list)


def _run(
    study: Study,
    source: _Source,
    keeper: _Keeper,
    run_trial: RunTrial,
    pool: Executor,
    width: Callable[[], int],
) -> None:
    """Keep the workers busy until no trial is left."""
    running: dict[Future[Any], _Running] = {}
    again: list[_Running] = []
    while source.left() or again or running:
        wide = width()
        while (source.left() or again) and len(running) < wide:
            if again:
                task = again.pop()
            else:
                number = source.take()
                try:
                    task = _Running(_trial(study, source, number))
                except (
                    InputError
                ) as error:  # drawn by an earlier version, which did not know what a run takes
                    keeper.keep(_unfit(study, source, number, error))
                    continue
            running[pool.submit(perform, task.trial, run_trial)] = task
        if not running:
            continue
        done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in done:
            task = running.pop(future)
            try:
                row = future.result()
            except Exception as error:
                width()  # a cluster that is gone is not the trial's fault
                retried = _lost(task, error, keeper)
                if retried is None:
                    again.append(task)
                    continue
                row = retried
            keeper.keep(row)
        keeper.write_if_due()
        keeper.view.refresh()


def _lost(task: _Running, error: Exception, keeper: _Keeper) -> dict[str, Any] | None:
    """A trial did not come back, its process died most likely: None if it is to run again, else its row."""
    task.lost.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
    number = task.trial.number
    # Dask has tried as often as it would itself.
    if len(task.lost) < TRIES and type(error).__name__ != "KilledWorker":
        keeper.said(f"trial {number}: lost ({task.lost[-1]}); again, try {len(task.lost) + 1} of {TRIES}")
        return None
    return finish(task.trial, None, f"its process was lost each time ({task.lost[-1]})", 0.0)


def _unfit(study: Study, source: _Source, number: int, error: InputError) -> dict[str, Any]:
    """The row of a trial whose parameters no run can have."""
    drawn = study.given(source.parameters[number])
    columns = {name: drawn.get(name) for name in study.columns}
    trial = Trial(number, study.trial(number).absolute(), study.store.absolute(), study.settings({}), columns)
    return finish(trial, None, str(error), 0.0)


def _trial(study: Study, source: _Source, number: int) -> Trial:
    parameters = source.parameters[number]
    folder, store = study.trial(number).absolute(), study.store.absolute()
    return Trial(number, folder, store, study.settings(parameters), study.row(parameters))
