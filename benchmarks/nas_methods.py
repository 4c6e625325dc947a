"""NSGA-II beside random search, uniform scaling and AutoFormer's evolution: hypervolumes, seed by seed.

.venv/bin/python benchmarks/nas_methods.py SPACE.toml [--seeds 5] [--subnets 160] [--jobs 2]

Each search scores as many subnets. The study's own run, order and scores are used (`hwnorm nas` makes them),
and what is scored is added to them. The corner is the worst loss of all at the cycles of the whole network.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import get_args

from hwnorm.nas.nas import score_subnets, whole_of, workers
from hwnorm.nas.scoring import context
from hwnorm.nas.spacefile import read_space
from hwnorm.nas.stored import SCORES, Scores
from hwnorm.progress import out
from hwnorm.supernet.search import Method, Search, volume


def main() -> None:
    """Print a line a seed, and how often NSGA-II is ahead of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--subnets", type=int, default=160)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    study = read_space(options.space)
    found = context(study.path)
    scores = Scores(study.folder / SCORES)
    methods: tuple[Method, ...] = get_args(Method)
    cycles = float(found.cost(whole_of(found)).cycles)
    runs = {}
    with workers(study, options.jobs, None) as pool:
        for seed in range(options.seeds):
            for method in methods:
                search = Search(
                    found.space,
                    partial(score_subnets, study, scores, pool),
                    seed=seed,
                    population=study.file.search.population,
                    count=options.subnets,
                )
                runs[seed, method] = search.run(method)
                out.print(f"seed {seed}: {method}: {len(search.scores)} subnets")
    worst = max(s.loss for run in runs.values() for s in run.values() if s is not None), cycles
    ahead = 0
    for seed in range(options.seeds):
        volumes = {method: volume(runs[seed, method].values(), worst) for method in methods}
        ahead += volumes["nsga2"] > max(v for m, v in volumes.items() if m != "nsga2")
        out.print(f"seed {seed}: " + ", ".join(f"{m} {v:.4f}" for m, v in volumes.items()), soft_wrap=True)
    out.print(f"nsga2 is ahead of all in {ahead} of {options.seeds} seeds")


if __name__ == "__main__":
    main()
