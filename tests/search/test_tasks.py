"""Jobs through an executor: any executor, any width, stopped or crashed, the same front."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial

import pytest

from hwnorm.errors import InputError
from hwnorm.search import tasks
from hwnorm.search.layer import SearchSettings, search_layer
from hwnorm.search.tasks import Job, Watcher, run_jobs
from hwnorm.workers import cluster_executor, processes, workers

SETTINGS = SearchSettings(10, 7, "xcup", 250.0, population=8, generations=6, seed=0)


@pytest.fixture(scope="module")
def profile(profile_of):
    return profile_of("1.5*tanh(x) + 0.25*clip(x, 2)", noise=0.2, points=5000)


@pytest.fixture
def jobs(profile):
    return [Job(layer, {"layer": layer} | profile.to_json(), SETTINGS) for layer in ("a", "b")]


@pytest.fixture(scope="module")
def expected(profile):
    """The fronts as one call finds them, without tasks."""
    return {layer: search_layer(layer, profile, SETTINGS).to_json() for layer in ("a", "b")}


class Seen(Watcher):
    def __init__(self) -> None:
        self.fronts: dict[str, dict] = {}
        self.texts: list[str] = []
        self.steps = 0

    def stepped(self, job: Job) -> None:
        self.steps += 1

    def finished(self, job: Job, front: dict) -> None:
        self.fronts[job.layer] = front

    def said(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize("width", [1, 3])
def test_one_process_finds_what_one_call_finds(jobs, expected, width):
    """States go through JSON between steps; the front is the same, figure by figure."""
    seen = Seen()
    run_jobs(jobs, partial(workers, 1), width, seen)
    assert seen.fronts == expected
    assert seen.steps == 4  # two layers, two steps each


def test_threads_find_the_same(jobs, expected):
    """DEAP's random stream is the process's: threads take turns."""
    seen = Seen()
    run_jobs(jobs, partial(ThreadPoolExecutor, 3), 4, seen)
    assert seen.fronts == expected


class Stopped(Exception):
    pass


def test_a_stopped_search_goes_on_where_it_was(jobs, profile, expected):
    """Stopped after three steps, its states kept: other jobs made of them end with the same fronts."""

    class Stopper(Seen):
        def stepped(self, job: Job) -> None:
            super().stepped(job)
            if self.steps == 3:
                raise Stopped

    with pytest.raises(Stopped):
        run_jobs(jobs, partial(workers, 1), 1, Stopper())
    assert any(state is not None for job in jobs for state in job.states)
    again = [Job(job.layer, job.profile, SETTINGS, job.states) for job in jobs]
    seen = Seen()
    run_jobs(again, partial(workers, 1), 1, seen)
    assert seen.fronts == expected
    assert seen.steps == 4 - 3


class Failing(Executor):
    """Runs tasks here, but fails those of layer ``a`` a number of times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def submit(self, task, /, *args, **kwargs):
        future: Future = Future()
        if args[0]["layer"] == "a" and self.times > 0:
            self.times -= 1
            future.set_exception(MemoryError("out of it"))
        else:
            future.set_result(task(*args))
        return future


def test_a_crashed_task_is_told_and_tried_again(jobs, expected):
    seen = Seen()
    run_jobs(jobs, partial(Failing, 2), 1, seen)
    assert seen.fronts == expected
    assert [text.split(";")[1] for text in seen.texts] == [" again, try 2 of 3", " again, try 3 of 3"]
    assert all("layer a" in text and "MemoryError: out of it" in text for text in seen.texts)


def test_a_layer_is_given_up_and_the_rest_goes_on(jobs, expected):
    seen = Seen()
    with pytest.raises(InputError, match=r"search of a: failed 3 times .*MemoryError"):
        run_jobs(jobs, partial(Failing, 100), 1, seen)
    assert seen.fronts == {"b": expected["b"]}
    assert len(seen.texts) == 3


def test_lost_processes_are_replaced(jobs, expected, tmp_path, monkeypatch):
    """A worker that dies takes the pool with it: a new one goes on, and nothing is missing."""
    marker = tmp_path / "died"
    monkeypatch.setattr(tasks, "step", partial(_step_or_die, str(marker)))
    seen = Seen()
    run_jobs(jobs[:1], partial(processes, 1), 1, seen)
    assert marker.exists()
    assert seen.fronts == {"a": expected["a"]}
    assert any("BrokenProcessPool" in text for text in seen.texts)


_STEP = tasks.step


def _step_or_die(marker, *args):
    if not os.path.exists(marker):
        with open(marker, "w"):
            pass
        os._exit(1)
    return _STEP(*args)


def test_a_dask_cluster_finds_the_same(jobs, expected):
    """A real scheduler over TCP with workers of its own, by its address."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        seen = Seen()
        run_jobs(jobs, partial(cluster_executor, cluster.scheduler_address), 2, seen)
    assert seen.fronts == expected


def test_a_scheduler_that_is_not_there_is_named():
    pytest.importorskip("distributed")
    with (
        pytest.raises(InputError, match=r"option --cluster: no Dask scheduler at tcp://127\.0\.0\.1:9"),
        cluster_executor("tcp://127.0.0.1:9"),
    ):
        pass
