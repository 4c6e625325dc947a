"""The search of every layer of a run folder, each in a process of its own."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from hwnorm.files import digest, read_artefact
from hwnorm.profile import LayerProfile
from hwnorm.progress import progress_bar
from hwnorm.run.folder import RunFolder, layer_files
from hwnorm.search.layer import Front, SearchSettings, search_layer
from hwnorm.targets.target import load_target
from hwnorm.workers import processes


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
    with processes(min(jobs, len(pending))) as pool, progress_bar() as bar:
        task = bar.add_task("search layers", total=len(pending))
        running: dict[Future[Front], tuple[dict[str, Any], str]] = {
            pool.submit(_search_one, data, settings): (data, made_from) for data, made_from in pending
        }
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                data, made_from = running.pop(future)
                body = {"position": data["position"]} | future.result().to_json()
                run.write(run.front(data["layer"]), "front", made_from, body)
                bar.advance(task)


def _search_one(data: dict[str, Any], settings: SearchSettings) -> Front:
    return search_layer(data["layer"], LayerProfile.from_json(data), settings)
