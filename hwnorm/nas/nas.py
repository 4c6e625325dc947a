"""A study from its file to its front: the whole network's run, the search, and the points that are built."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import Progress, TaskID

from hwnorm.errors import InputError
from hwnorm.files import digest, read_artefact, remove_strays
from hwnorm.locks import alone_in
from hwnorm.nas.points import POINTS, Points
from hwnorm.nas.scoring import ORDERING, Context, check_study, context, score_of, score_some
from hwnorm.nas.spacefile import NasStudy
from hwnorm.nas.stored import SCORES, NasFront, Scores, StoredSpace
from hwnorm.progress import err, progress_bar, track
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import INTEGER
from hwnorm.stages.main import STAGES, Work
from hwnorm.supernet.search import Score, Search, front_of, volume
from hwnorm.supernet.space import Gene, Subnet
from hwnorm.supernet.stored import PARTS
from hwnorm.workers import cluster_client, processes

#: Stages of the run of the whole network before its integers, where functions are to be found.
_BEFORE = ("capture", "search", "choose", "realign")
#: What of a file may change: more of these are only more of the same.
_MORE = (("search", "subnets"), ("search", "measured"))
#: The front of a study.
FRONT = "front.json"
#: Subnets that a worker is given at once.
_TOGETHER = 4


def nas(study: NasStudy, *, jobs: int = 1, cluster: str | None = None) -> NasFront:
    """Search, unless that is done, and write the study's folder; goes on where it was stopped.

    Args:
        jobs: processes, where no cluster is named; the result does not depend on it.
        cluster: address of a Dask scheduler, ``slurm:FILE`` or ``lsf:FILE``.

    Raises:
        InputError: the folder is of another study, the space does not fit the network, or no subnet has an
            engine within the budget.
    """
    with alone_in(study.folder):
        if study.folder.is_dir():
            remove_strays(study.folder)
        check_study(study)
        begin(study)
        supernet = study.supernet
        base = whole_network(study, supernet, jobs, cluster)
        _belonging(study, base if supernet is None else digest(base, supernet / PARTS))
        here = context(study.path)
        scores = Scores(study.folder / SCORES)
        found: dict[str, dict[Subnet, Score | None]] = {}
        with workers(study, jobs, cluster) as pool, progress_bar() as bar:
            for method in study.file.search.methods:
                task = bar.add_task(f"search: {method}", total=study.file.search.subnets)
                search = Search(
                    here.space,
                    partial(score_subnets, study, scores, pool),
                    seed=study.file.search.seed,
                    population=study.file.search.population,
                    count=study.file.search.subnets,
                    cycles=study.cycles,
                    step=partial(_completed, bar, task, method),
                )
                found[method] = search.run(method)
                bar.update(task, total=len(found[method]))
        return _front(study, here, found)


def begin(study: NasStudy) -> None:
    """Write ``space.json``, or hold it against the file that is to go on.

    Raises:
        InputError: the folder is of another study, or of none.
    """
    path = study.folder / "space.json"
    told = study.file.model_dump(mode="json")
    if path.is_file():
        old = StoredSpace.read(path).file
        for table in (old.keys() | told.keys()) - {"train"}:
            for name in old[table].keys() | told[table].keys():
                was, now = (of[table].get(name) for of in (old, told))
                if was != now and (table, name) not in _MORE:
                    raise InputError(
                        f"{study.path}: {table}.{name}: {now}; the study was begun with {was}, and its "
                        "scores are of that: restore it, or call the file otherwise (nothing in "
                        f"{study.folder} was touched)"
                    )
    elif study.folder.exists() and (not study.folder.is_dir() or any(study.folder.iterdir())):
        raise InputError(f"{study.folder}: is no study's (it has no space.json); call the file otherwise")
    else:
        StoredSpace(file=told).write(path, study.file.search.seed, {})


def whole_network(study: NasStudy, supernet: Path | None, jobs: int, cluster: str | None) -> str:
    """The run of the whole network, up to its integers; returns the hash of what these were made from.

    Args:
        supernet: the folder of a trained one, whose largest subnet is taken with its functions.
    """
    settings = study.base_settings(supernet)
    run = RunFolder.create(study.base(supernet), settings, force=False)
    inputs = Inputs(settings)
    run.start()
    for stage in STAGES:
        if stage.name == "quantize" or (stage.name in _BEFORE and supernet is None):
            stage.perform(run, Work(inputs, jobs, cluster))
    return digest(run.read(INTEGER).seal, run.made_from(INTEGER, inputs))


def _belonging(study: NasStudy, base: str) -> None:
    """Remove what was found of another whole network, or by another hwnorm: it is made anew."""
    path = study.folder / "space.json"
    before = read_artefact(path, StoredSpace.KIND)["made_from"].get("base", base)
    if before != base:
        err.print(
            f"nas: {study.folder}: scores and points are of another network or hwnorm; they are made anew",
            highlight=False,
            soft_wrap=True,
        )
        for name in (SCORES, ORDERING, FRONT):
            (study.folder / name).unlink(missing_ok=True)
        shutil.rmtree(study.folder / POINTS, ignore_errors=True)
        context.cache_clear()
    told = study.file.model_dump(mode="json")
    StoredSpace(file=told).write(path, study.file.search.seed, {"base": base})


@contextmanager
def workers(study: NasStudy, jobs: int, cluster: str | None) -> Iterator[Executor | None]:
    """What scores subnets elsewhere; None: nothing does."""
    if cluster is not None:
        with cluster_client(cluster) as client:
            yield client.get_executor()
    elif jobs > 1:
        with processes(jobs) as pool:
            yield pool
    else:
        yield None


def _completed(bar: Progress, task: TaskID, method: str, search: Search) -> None:
    """Show how many are scored, and the front of them."""
    front = search.front
    said = f"search: {method}, {len(front)} on the front" if front else f"search: {method}"
    bar.update(task, completed=len(search.scores), description=said)


def score_subnets(
    study: NasStudy, scores: Scores, pool: Executor | None, subnets: Sequence[Subnet]
) -> list[Score | None]:
    """Scores in their order; each is noted as soon as it is there."""
    # Those that begin alike one after the other: a process keeps what they share.
    new = sorted((s for s in subnets if s not in scores.known), key=str)
    parts = [new[i : i + _TOGETHER] for i in range(0, len(new), _TOGETHER)]
    if pool is None:
        for part in parts:
            scores.add(zip(part, score_some(study.path, part), strict=True))
    else:
        futures = [pool.submit(score_some, study.path.absolute(), part) for part in parts]
        for part, future in zip(parts, futures, strict=True):
            scores.add(zip(part, future.result(), strict=True))
    return [scores.known[subnet] for subnet in subnets]


def whole_of(here: Context) -> Subnet:
    """The largest network of a space with all rows at 8 bits, which points are held against."""
    space = here.space
    return space.uniform(space.width[-1], space.depth[-1], Gene(space.heads[-1], space.mlp[-1], 1.0))


def _front(study: NasStudy, here: Context, found: dict[str, dict[Subnet, Score | None]]) -> NasFront:
    """Build and measure points of the front, and write ``front.json``."""
    every = {subnet: score for scores in found.values() for subnet, score in scores.items()}
    front = front_of(every, study.cycles)
    if not front:
        engine = study.file.engine
        rate = "" if engine.fps is None else f" that makes {engine.fps:g} images a second"
        raise InputError(
            f"{study.path}: engine: none of {len(every)} subnets has an engine of {engine.budget}{rate}"
        )
    points, whole = Points(here), whole_of(here)
    reference = _scored(here, whole)
    built = points.build(whole)
    picked = spread(front, study.file.search.measured)
    worst = (max(s.loss for s in every.values() if s is not None), float(reference.cycles))
    stored = NasFront(
        target=study.settings.target,
        clock_mhz=study.settings.clock_mhz,
        budget=study.file.engine.budget,
        scored={method: len(scores) for method, scores in found.items()},
        front=len(front),
        trained=here.supernet.trained,
        hypervolume={method: volume(scores.values(), worst) for method, scores in found.items()},
        measured_on=len(here.split.measure),
        test_images=len(here.inputs.test_images),
        test_images_from=here.inputs.test_images.description,
        whole=points.point(whole, reference, built),
        points=[points.point(subnet, score, built) for subnet, score in track(picked, "build", len(picked))],
    )
    stored.write(study.folder / FRONT, study.file.search.seed, {})
    return stored


def _scored(here: Context, subnet: Subnet) -> Score:
    """Of a network that need not be as fast as is wanted."""
    return score_of(here.cost(subnet), here.fitting(subnet).loss)


def spread(front: Sequence[tuple[Subnet, Score]], count: int) -> list[tuple[Subnet, Score]]:
    """So many points of a front, its ends among them, as evenly by their cycles as can be."""
    if len(front) <= count:
        return list(front)
    cycles = np.array([score.cycles for _, score in front])
    wanted = np.linspace(cycles[0], cycles[-1], count)
    places = np.abs(cycles[None] - wanted[:, None]).argmin(1)
    return [front[i] for i in np.unique(places)]
