"""The search of every layer of a run folder, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from hwnorm.files import digest, read_artefact
from hwnorm.profile import LayerProfile
from hwnorm.progress import progress_bar
from hwnorm.run.folder import RunFolder, layer_files
from hwnorm.search.layer import Front, SearchSettings, search_layer
from hwnorm.targets.target import load_target


def search(run: RunFolder, jobs: int) -> None:
    """Write ``fronts/LAYER.json`` for each profile; those that are up to date stay.

    The fronts do not depend on ``jobs``. Each is written as soon as it is found, so that an
    interrupted search goes on with the layers that are left.

    Raises:
        InputError: no profiles, an unknown target, or a layer for which nothing can be built.
    """
    s = run.settings
    settings = SearchSettings(
        s.input_bits, s.output_bits, s.target, s.clock_mhz, s.population, s.generations, s.seed
    )
    target = load_target(s.target).model_dump(mode="json")
    pending: list[tuple[dict[str, Any], str]] = []
    for path in layer_files(run.path / "profiles", "capture"):
        made_from = digest(path, vars(settings), target)
        data = read_artefact(path, "profile")
        if not run.is_current(run.front(data["layer"]), "front", made_from):
            pending.append((data, made_from))
    if not pending:
        return
    # A child that is forked after torch has started its threads may hang; a fresh one does not.
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(min(jobs, len(pending)), mp_context=context) as pool,
        progress_bar() as bar,
    ):
        task = bar.add_task("search layers", total=len(pending))
        with _born_deaf_to_interrupts():
            running: dict[Future[Front], tuple[dict[str, Any], str]] = {
                pool.submit(_search_one, data, settings): (data, made_from) for data, made_from in pending
            }
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    data, made_from = running.pop(future)
                    body = {"position": data["position"]} | future.result().to_json()
                    run.write(run.front(data["layer"]), "front", made_from, body)
                    bar.advance(task)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@contextmanager
def _born_deaf_to_interrupts() -> Iterator[None]:
    """Processes started in here ignore Ctrl-C, which a terminal sends to all: their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _search_one(data: dict[str, Any], settings: SearchSettings) -> Front:
    return search_layer(data["layer"], LayerProfile.from_json(data), settings)
