"""What the demo comes to with several seeds: area, and accuracy beside LayerNorm's.

.venv/bin/python benchmarks/demo_seeds.py [--seeds 3] [--jobs N] [--data DIR]

The main job up to re-alignment on the built-in model with the shipped images, once a seed. With ``--data``
the same networks are also measured on all of that folder's test images: of the 2,000 shipped ones a
difference is known to three quarters of a point only.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean

from safetensors.torch import load_file
from torch import nn

from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.network.evaluate import evaluate
from hwnorm.network.replacement import functions_of, replace_norms, with_functions
from hwnorm.progress import err
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, REALIGNED
from hwnorm.runs.settings import RunSettings
from hwnorm.stages.main import STAGES, Work

NETWORKS = ("realigned", "bit_true")


def main() -> None:
    """Print a line a seed, and the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's idx files")
    options = parser.parse_args()
    err.quiet = True
    lost: dict[str, list[float]] = defaultdict(list)
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as scratch:
            run = RunFolder.create(Path(scratch) / "run", RunSettings(seed=seed), force=False)
            work = Work(Inputs(run.settings), options.jobs)
            for stage in STAGES:
                if stage.name in ("capture", "search", "choose", "realign"):
                    stage.perform(run, work)
            choice, found = run.read(CHOICE), run.read(REALIGNED)
            print(f"seed {seed}: {choice.area:g} LUT, {choice.predicted_loss:g} nat predicted", flush=True)
            measured = {
                found.test_images_from: (
                    {name: top1.percent for name, top1 in found.top1.items()},
                    {name: paired.difference for name, paired in found.paired.items()},
                )
            }
            if options.data is not None:
                everything = load_images(options.data, "test", work.inputs.model)
                measured[everything.description] = scored(run, work.inputs.model, everything)
        for images, (top1, differences) in measured.items():
            figures = ", ".join(f"{name} {top1[name]:.2f} %" for name in ("layernorm", *NETWORKS))
            print(f"  {images}: {figures}", flush=True)
            for name in NETWORKS:
                lost[f"{name}, {images}"].append(differences[name])
    for name, of_seeds in lost.items():
        print(f"{name}: {mean(of_seeds):+.2f} points on average", flush=True)


def scored(run: RunFolder, teacher: nn.Module, tests: ImageSet) -> tuple[dict[str, float], dict[str, float]]:
    """Top-1 of the run's networks in per cent, and the differences from the teacher."""
    functions, integers = (functions_of(run.read(CHOICE).layers, fixed) for fixed in (False, True))
    student = replace_norms(teacher, functions)
    student.load_state_dict(load_file(run.realigned_weights))
    networks = {"layernorm": teacher, "realigned": student, "bit_true": with_functions(student, integers)}
    scores = evaluate(networks, teacher, tests, 10)
    top1 = {name: score.top1.percent for name, score in scores.items() if score.top1 is not None}
    return top1, {name: top1[name] - top1["layernorm"] for name in NETWORKS}


if __name__ == "__main__":
    main()
