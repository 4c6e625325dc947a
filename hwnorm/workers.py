"""Worker processes, which leave Ctrl-C to their parent and end with it, and clusters."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import signal
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError


class _Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(task(*args, **kwargs))
        except Exception as error:  # Ctrl-C is not the task's
            future.set_exception(error)
        return future


def _end_with_parent() -> None:
    """End this process as soon as its parent has, however that ended: nobody would take its results."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Pool(ProcessPoolExecutor):
    """Fresh processes that do not hear Ctrl-C, which a terminal sends to all: their parent ends them.

    A child that is forked after torch has started its threads may hang; a fresh one does not.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        # Blocked, not ignored: processes that start here inherit that, and a Ctrl-C that comes meanwhile is
        # delivered when it ends.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(task, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Apart(Executor):
    """Pools of one process each: one that dies takes no other's task along, and is replaced.

    At most as many tasks as there are processes may be under way.
    """

    def __init__(self, count: int) -> None:
        self._free: queue.SimpleQueue[_Pool] = queue.SimpleQueue()
        self._pools = {_Pool(1) for _ in range(count)}
        for pool in self._pools:
            self._free.put(pool)

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        pool = self._free.get()
        try:
            future = pool.submit(task, *args, **kwargs)
        except BrokenExecutor:  # its process died
            self._pools.discard(pool)
            pool = _Pool(1)
            self._pools.add(pool)
            future = pool.submit(task, *args, **kwargs)
        future.add_done_callback(lambda _: self._free.put(pool))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for pool in list(self._pools):
            pool.shutdown(wait, cancel_futures=cancel_futures)


@contextmanager
def _ended(pool: Executor) -> Iterator[Executor]:
    """The executor; an exception in the block ends its processes, which finish nothing more."""
    with pool:
        try:
            yield pool
        except BaseException:
            # The processes first: then the pool's own thread can be waited for, and is not left to race with
            # the end of the interpreter, which would print what it says of a closed pipe.
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """An executor of ``count`` processes; an exception in the block ends them."""
    with _ended(_Pool(count)) as pool:
        yield pool


@contextmanager
def processes_apart(count: int) -> Iterator[Executor]:
    """The same, for at most ``count`` tasks at a time: one that loses its process breaks no other."""
    with _ended(_Apart(count)) as pool:
        yield pool


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """An executor of ``count`` processes, this one if it is one."""
    if count == 1:
        yield _Here()
        return
    with processes(count) as pool:
        yield pool


#: Seconds that a scheduler is given to have its first worker.
WORKERS_S = 30
#: What ``--cluster NAME:FILE`` may name: the queueing system's class in dask_jobqueue, and its command.
QUEUES = {"slurm": ("SLURMCluster", "sbatch"), "lsf": ("LSFCluster", "bsub")}


@contextmanager
def cluster_client(where: str) -> Iterator[Any]:
    """A Dask client: of the scheduler at an address, or of workers that a queueing system starts.

    Args:
        where: the address; or ``slurm:FILE`` or ``lsf:FILE``, the file a TOML table of the keyword arguments
            of dask_jobqueue's ``SLURMCluster`` or ``LSFCluster``, and ``jobs``, how many to submit.

    Raises:
        InputError: Dask is not installed, no scheduler answers, or file or system are unfit.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "option --cluster: Dask is not installed; pip install 'hwnorm[cluster]' adds it"
        ) from None
    name, _, file = where.partition(":")
    if name in QUEUES:
        with _queued(name, Path(file)) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(where, timeout=10)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"option --cluster: no Dask scheduler at {where} ({said})") from None
    with client:
        _check_workers(client, where)
        yield client


def _check_workers(client: Any, where: str) -> None:
    """See to it that a scheduler has workers, and that they have hwnorm.

    Raises:
        InputError: it has none, or one has not.
    """
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError:
        raise InputError(
            f"option --cluster: the scheduler at {where} has no workers; `dask worker {where}` starts one"
        ) from None
    # Of builtins alone: what else is sent is looked up in the worker's own hwnorm.
    found = client.run(eval, "__import__('importlib.util').util.find_spec('hwnorm') is not None")
    if lacking := [worker for worker, has in found.items() if not has]:
        raise InputError(
            f"option --cluster: the worker at {lacking[0]} has no hwnorm; install it in its Python"
        )


@contextmanager
def _queued(name: str, file: Path) -> Iterator[Any]:
    """A Dask cluster whose workers are jobs of a queueing system."""
    try:
        import dask_jobqueue
    except ImportError:
        raise InputError(
            "option --cluster: dask-jobqueue is not installed; pip install 'hwnorm[cluster]' adds it"
        ) from None
    kind, command = QUEUES[name]
    try:
        options = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"option --cluster: {file}: cannot be read as TOML ({error})") from None
    jobs = options.pop("jobs", None)
    if not isinstance(jobs, int) or jobs < 1:
        raise InputError(f"option --cluster: {file}: jobs is {jobs!r}; how many to submit is needed")
    if shutil.which(command) is None:
        raise InputError(f"option --cluster: {command} is not on the PATH; {name} needs it")
    try:
        cluster = getattr(dask_jobqueue, kind)(**options)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"option --cluster: {file}: {kind} refuses it ({' '.join(str(error).split())})"
        ) from None
    with cluster:
        cluster.scale(jobs=jobs)
        yield cluster


@contextmanager
def cluster_executor(where: str) -> Iterator[Executor]:
    """An executor of a cluster's workers (:func:`cluster_client`)."""
    with cluster_client(where) as client, client.get_executor() as executor:
        yield executor


def jobs_at_a_time(jobs: int | None) -> int:
    """How many processes work at a time; None takes as many as there are cores.

    Raises:
        InputError: it is no whole number from 1 on.
    """
    if jobs is None:
        return os.cpu_count() or 1
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise InputError(f"option --jobs: {jobs!r}; a whole number, at least 1, is needed")
    return jobs
