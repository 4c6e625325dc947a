"""A search of a network's subnets: what it takes, what is lost at a half and a quarter of the cycles.

.venv/bin/python benchmarks/nas.py SPACE.toml [--jobs 2] [--rank 0]

Searches as `hwnorm nas` does. Within each share of the cycles that the whole network of 8-bit rows takes, the
subnet of least score is built and told, with its test images. With --rank Kendall's tau between the score and
the full measurement (re-aligned, in integers, loss on held-out training images) over so many random subnets.
`nas.toml` is a space file; its first lines say how to have all images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random

import torch
from scipy.stats import kendalltau

from hwnorm.nas.nas import nas, whole_of
from hwnorm.nas.points import Points
from hwnorm.nas.scoring import context
from hwnorm.nas.spacefile import NasStudy, read_space
from hwnorm.nas.stored import SCORES, Scores
from hwnorm.nas.tables import print_front
from hwnorm.progress import out
from hwnorm.supernet.search import front_of

#: Shares of the whole network's cycles, and the points that may be lost there.
BARS = ((0.5, 0.7), (0.25, 2.0))


def main() -> None:
    """Search, then print the front, the bars, and the rank correlation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rank", type=int, default=0, help="random subnets to measure in full")
    options = parser.parse_args()
    study = read_space(options.space)
    scores = study.folder / SCORES
    before = len(Scores(scores).known) if scores.is_file() else 0
    began = time.monotonic()
    front = nas(study, jobs=options.jobs)
    seconds = time.monotonic() - began
    print_front(study, front, None)
    scored = len(Scores(scores).known) - before
    out.print(f"{scored} subnets scored now; {seconds:.0f} s with the run before and what is built behind")
    bars(study, front.whole.score.cycles)
    if options.rank:
        rank(study, options.rank)


def bars(study: NasStudy, whole: int) -> None:
    """Print what is lost within each share of the whole network's cycles."""
    found = context(study.path)
    points = Points(found)
    reference = points.build(whole_of(found))
    front = front_of(Scores(study.folder / SCORES).known)
    for share, bar in BARS:
        within = [(subnet, score) for subnet, score in front if score.cycles <= share * whole]
        subnet, score = within[-1]
        top1 = points.point(subnet, score, reference).top1
        assert top1 is not None
        low, high = top1.lost_interval
        out.print(
            f"{share:g} of the cycles ({score.cycles / whole:.3f}): top-1 {top1.percent:.2f} %, lost "
            f"{top1.lost:+.2f} points ({low:+.2f} to {high:+.2f}); at most {bar} wanted: {subnet}",
            soft_wrap=True,
        )


def rank(study: NasStudy, count: int) -> None:
    """Print tau over random subnets."""
    found, random = context(study.path), Random(1)
    points, space = Points(found), found.space
    with torch.no_grad():
        wanted = torch.cat([found.model(part) for part in torch.split(points.held_out, 250)])
    pairs: list[tuple[float, float]] = []
    while len(pairs) < count:
        subnet = space.random(random)
        score = found.score(subnet)
        if score is None:
            continue
        network = points.integers(subnet)[1]
        measured = found.loss.compare(network.to_module()(points.held_out), wanted)
        pairs.append((score.loss, measured.loss))
        out.print(f"{subnet}: score {score.loss:.4f}, measured {measured.loss:.4f}", soft_wrap=True)
    tau = kendalltau(*zip(*pairs, strict=True)).statistic
    out.print(
        f"Kendall's tau over {count} random subnets, {len(wanted)} held-out images: {tau:.3f}; "
        "at least .9 wanted"
    )


if __name__ == "__main__":
    main()
