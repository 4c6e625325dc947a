"""Worker processes that leave Ctrl-C to their parent."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from hwnorm.errors import InputError


class _Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task(*args, **kwargs))
        return future


class _Pool(ProcessPoolExecutor):
    """Fresh processes that do not hear Ctrl-C, which a terminal sends to all: their parent ends them.

    A child that is forked after torch has started its threads may hang; a fresh one does not.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, mp_context=multiprocessing.get_context("spawn"))

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        # Blocked, not ignored: processes that start here inherit that, and a Ctrl-C that comes meanwhile is
        # delivered when it ends.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(task, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """An executor of ``count`` processes; an exception in the block ends them."""
    with _Pool(count) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """An executor of ``count`` processes, this one if it is one."""
    if count == 1:
        yield _Here()
        return
    with processes(count) as pool:
        yield pool


@contextmanager
def cluster_executor(address: str) -> Iterator[Executor]:
    """An executor of the workers behind a Dask scheduler.

    Raises:
        InputError: Dask is not installed, or no scheduler answers at ``address``.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "option --cluster: Dask is not installed; pip install 'hwnorm[cluster]' adds it"
        ) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(
            f"option --cluster: no Dask scheduler at {address} ({' '.join(str(error).split())})"
        ) from None
    with client, client.get_executor() as executor:
        yield executor
