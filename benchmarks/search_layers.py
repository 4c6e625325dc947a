"""The search of every layer of a captured run: seconds, R2 beside its ceiling, and who wins.

Profiles come from a run folder (``hwnorm capture``), or with ``--weights`` from a ViT-S/14 of timm whose
norms are captured first. The fronts are found as ``hwnorm search`` finds them. For each layer the hypervolume
of (1 - bit-true R2/ceiling, LUT) is held beside that of each rival family alone and of all of them together
and, with ``--peers`` (extra ``peers``), beside pyoperon's front, its expressions lowered and costed by the
same model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hwnorm.capture.hooks import capture
from hwnorm.data.images import load_images
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.network.models import load_model
from hwnorm.network.norms import find_norms
from hwnorm.profile import LayerProfile
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import PROFILE
from hwnorm.search.fitness import Candidate
from hwnorm.search.front import Point, hypervolume
from hwnorm.search.layer import Front, LayerSearch, SearchSettings
from hwnorm.search.tasks import Job, Watcher, run_jobs
from hwnorm.workers import processes

VIT = "vit_small_patch14_dinov2"
#: Corner of the hypervolume: nothing explained, by so many LUTs.
WORST = 1.0, 300.0
PEER_SAMPLES = 20_000


class _Fronts(Watcher):
    def __init__(self) -> None:
        self.found: dict[str, Front] = {}

    def finished(self, job: Job, front: dict[str, Any]) -> None:
        self.found[job.layer] = Front.model_validate(front)
        print(f"  {job.layer}: {len(front['points'])} functions", flush=True)

    def said(self, text: str) -> None:
        print(text, flush=True)


def vit_profiles(weights: Path, data: Path, images: int) -> dict[str, LayerProfile]:
    """The norms of a ViT-S/14 over some training images."""
    model = load_model(VIT, weights, img_size=224, num_classes=0).float()
    return capture(model, load_images(data, "train", model).limited(images), find_norms(model), batch=16)


def volume(points: Iterable[Point], ceiling: float) -> float:
    """Hypervolume of (1 - bit-true R2/ceiling, LUT), as a share of the whole box."""
    return hypervolume([(1 - p.r2_bit_true / ceiling, p.lut) for p in points], WORST) / (WORST[0] * WORST[1])


def rivals_of(search: LayerSearch) -> dict[str, list[Point]]:
    """Of each family what none of it beats, lowered."""
    families: dict[str, list[Point]] = {}
    for point in search.measured(search.advance(None, 0, 0).rivals):
        families.setdefault(point.family, []).append(point)
    return families


def pyoperon_of(search: LayerSearch, profile: LayerProfile, seed: int, seconds: int) -> list[Point]:
    """pyoperon's front of R2 and length on samples of the profile, lowered by us."""
    from pyoperon.sklearn import SymbolicRegressor

    rng = np.random.default_rng(seed)
    bins = rng.choice(len(profile.x), PEER_SAMPLES, p=profile.weight / profile.weight.sum())
    model = SymbolicRegressor(
        allowed_symbols="add,sub,mul,tanh,constant,variable",
        objectives=["r2", "length"],
        optimizer_iterations=5,
        max_length=20,
        generations=10**6,
        max_evaluations=10**9,
        max_time=seconds,
        n_threads=1,
        random_state=seed,
    )
    model.fit(profile.x[bins][:, None], profile.y[bins])
    found = []
    for member in model.pareto_front_:
        text = model.get_model_string(member["tree"], precision=6, names=["x"])
        try:
            function = parse(text)
        except InputError:
            continue
        r2 = profile.r2(function.numpy(profile.x))
        tail = search.judge.tail(function)
        found.append(Candidate(function, r2, tail, 1 - r2 + tail, 0.0, "pyoperon"))
    return search.measured(found)


def main() -> None:
    """Print a line a layer, and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="run folder with profiles")
    parser.add_argument("--weights", type=Path, help=f"weights of {VIT}")
    parser.add_argument("--data", type=Path, help="images for --weights")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--target", default="xcup")
    parser.add_argument("--clock", type=float, default=250.0, help="MHz")
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--layers", type=int, help="the first so many alone")
    parser.add_argument("--rivals", action="store_true", help="hypervolumes of the rivals too")
    parser.add_argument("--peers", action="store_true", help="pyoperon's too")
    args = parser.parse_args()
    settings = SearchSettings(16, 8, args.target, args.clock, 64, args.generations, 0)
    if args.run:
        run = RunFolder.open(args.run)
        profiles = {layer: run.read(PROFILE, layer).statistics for layer in run.layers(PROFILE)}
    else:
        profiles = vit_profiles(args.weights, args.data, args.images)
    profiles = dict(list(profiles.items())[: args.layers])
    jobs = [Job(layer, {"layer": layer} | profile.to_json(), settings) for layer, profile in profiles.items()]
    watcher, began = _Fronts(), time.monotonic()
    run_jobs(jobs, partial(processes, args.jobs), args.jobs, watcher)
    print(f"{len(jobs)} layers in {time.monotonic() - began:.1f} s with {args.jobs} processes")
    shares, bit_true = [], []
    for layer, profile in profiles.items():
        front = watcher.found[layer]
        best = max(front.points, key=lambda p: p.r2)
        shares.append(best.r2 / front.ceiling_r2)
        bit_true.append(max(p.r2_bit_true for p in front.points) / front.ceiling_r2)
        families = sorted({p.family for p in front.points})
        print(f"{layer:18} R2 {best.r2:.5f} of {front.ceiling_r2:.5f} on the front: {', '.join(families)}")
        if args.rivals or args.peers:
            search = LayerSearch(layer, profile, replace(settings, generations=0))
            volumes = {"front": volume(front.points, front.ceiling_r2)}
            rivals = rivals_of(search)
            volumes |= {name: volume(points, front.ceiling_r2) for name, points in rivals.items()}
            volumes["all rivals"] = volume((p for group in rivals.values() for p in group), front.ceiling_r2)
            if args.peers:
                volumes["pyoperon"] = volume(pyoperon_of(search, profile, 0, 15), front.ceiling_r2)
            print("    " + "  ".join(f"{name} {v:.5f}" for name, v in volumes.items()), flush=True)
            if any(v > volumes["front"] + 1e-12 for v in volumes.values()):
                print("    MISSED: the front covers less than one of the others")
    print(f"mean of R2/ceiling {np.mean(shares):.5f}, bit-true {np.mean(bit_true):.5f}")


if __name__ == "__main__":
    main()
