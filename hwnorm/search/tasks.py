"""Every layer and restart as tasks of one executor: in steps, kept after each, tried again after a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

from hwnorm.errors import InputError
from hwnorm.profile import LayerProfile
from hwnorm.search.evolve import State
from hwnorm.search.layer import LayerSearch, SearchSettings

#: Generations that a task does before its state comes back.
STEP = 5
#: How often a task is tried before its layer is given up.
TRIES = 3

#: Makes the executor, again after its processes were lost.
Executors = Callable[[], AbstractContextManager[Executor]]


@dataclass
class Job:
    """The search of one layer: its profile as JSON, and of each restart the state so far."""

    layer: str
    profile: dict[str, Any]
    settings: SearchSettings
    states: list[dict[str, Any] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states = self.states or [None] * self.settings.restarts

    @property
    def ceiling_r2(self) -> float:
        """R2 of the best function that there could be."""
        return LayerProfile.from_json(self.profile).ceiling_r2

    def pending(self) -> list[int]:
        """Restarts that have generations left."""
        last = self.settings.generations
        return [i for i, s in enumerate(self.states) if s is None or s["generation"] < last]


def step(profile: dict[str, Any], settings: SearchSettings, state: dict[str, Any] | None, start: int) -> Any:
    """Some generations of one restart: state in, state out, both as JSON; a task."""
    search = LayerSearch(profile["layer"], LayerProfile.from_json(profile), settings)
    before = None if state is None else State.from_json(state)
    return search.advance(before, start, STEP).to_json()


def finish(profile: dict[str, Any], settings: SearchSettings, states: Sequence[Any]) -> dict[str, Any]:
    """The front of all restarts' states, as JSON; a task."""
    search = LayerSearch(profile["layer"], LayerProfile.from_json(profile), settings)
    return search.front([State.from_json(state) for state in states]).to_json()


class Watcher:
    """What :func:`run_jobs` tells of."""

    def stepped(self, job: Job) -> None:
        """A restart of the job has a new state."""

    def finished(self, job: Job, front: dict[str, Any]) -> None:
        """The job's front is found."""

    def said(self, text: str) -> None:
        """Something went wrong, and what is done about it."""


def run_jobs(jobs: Sequence[Job], executors: Executors, width: int, watcher: Watcher) -> None:
    """Run all jobs, ``width`` tasks at a time, in their order.

    A task that crashes, or whose process is lost, is told of and tried again from its last state. A layer
    whose tasks fail TRIES times is given up, and the rest goes on.

    Raises:
        InputError: a layer for which nothing can be built, at once; layers that were given up, at the end.
    """
    runner = _Runner(jobs, watcher)
    with ExitStack() as stack:
        pool = stack.enter_context(executors())
        while runner.go_on(pool, width):
            if runner.lost_processes:
                stack.close()
                pool = stack.enter_context(executors())
                runner.begin_again()
    runner.tell_failures()


#: A job, and which of its restarts goes on; None for the front of all of them.
_Task = tuple[Job, int | None]


class _Runner:
    """The queue of :func:`run_jobs`."""

    def __init__(self, jobs: Sequence[Job], watcher: Watcher) -> None:
        self._watcher = watcher
        self._queue: list[_Task] = []
        for job in jobs:
            starts: list[int | None] = [*job.pending()] or [None]
            self._queue.extend((job, start) for start in starts)
        self._running: dict[Future[Any], _Task] = {}
        self._failures: dict[str, list[str]] = {}
        self.lost_processes = False

    def go_on(self, pool: Executor, width: int) -> bool:
        """Keep ``width`` tasks running, and see to those that are done; False when all are."""
        while self._queue and len(self._running) < width:
            job, start = self._queue.pop(0)
            if start is None:
                task = pool.submit(finish, job.profile, job.settings, job.states)
            else:
                task = pool.submit(step, job.profile, job.settings, job.states[start], start)
            self._running[task] = job, start
        if not self._running:
            return False
        for task in wait(self._running, return_when=FIRST_COMPLETED).done:
            job, start = self._running.pop(task)
            try:
                found = task.result()
            except InputError:
                raise
            except Exception as error:
                self._failed(job, start, error)
            else:
                self._done(job, start, found)
        return True

    def _done(self, job: Job, start: int | None, found: dict[str, Any]) -> None:
        if start is None:
            self._watcher.finished(job, found)
            return
        job.states[start] = found
        self._watcher.stepped(job)
        left = job.pending()
        if start in left:
            self._queue.insert(0, (job, start))
        elif not left:
            self._queue.insert(0, (job, None))

    def _failed(self, job: Job, start: int | None, error: Exception) -> None:
        self.lost_processes = self.lost_processes or isinstance(error, BrokenExecutor)
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        failures = self._failures.setdefault(job.layer, [])
        failures.append(why)
        if self._given_up(job):
            self._queue = [task for task in self._queue if task[0] is not job]
            then = "given up; the other layers go on"
        else:
            self._queue.insert(0, (job, start))
            then = f"again, try {len(failures) + 1} of {TRIES}"
        self._watcher.said(f"layer {job.layer}: a task failed ({why}); {then}")

    def _given_up(self, job: Job) -> bool:
        return len(self._failures.get(job.layer, ())) >= TRIES

    def begin_again(self) -> None:
        """The processes were lost, and with them the tasks that ran: they are queued again."""
        self._queue[:0] = [task for task in self._running.values() if not self._given_up(task[0])]
        self._running.clear()
        self.lost_processes = False

    def tell_failures(self) -> None:
        """Complain of the layers that were given up, if any."""
        found = [layer for layer, tried in self._failures.items() if len(tried) >= TRIES]
        if found:
            raise InputError(
                f"search of {', '.join(found)}: failed {TRIES} times (last: {self._failures[found[0]][-1]}); "
                "the other layers' fronts are written, and the same command tries again"
            )
