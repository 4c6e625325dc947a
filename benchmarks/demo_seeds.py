"""What the demo comes to with several seeds: area, and accuracy beside LayerNorm's.

.venv/bin/python benchmarks/demo_seeds.py [--seeds 3] [--jobs N]

The main job up to re-alignment on the built-in model with the shipped images, once a seed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import mean

from hwnorm.progress import err
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, REALIGNED
from hwnorm.runs.settings import RunSettings
from hwnorm.stages.main import STAGES, Work


def main() -> None:
    """Print a line a seed, and the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    err.quiet = True
    lost: dict[str, list[float]] = {"realigned": [], "bit_true": []}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as scratch:
            run = RunFolder.create(Path(scratch) / "run", RunSettings(seed=seed), force=False)
            work = Work(Inputs(run.settings), options.jobs)
            for stage in STAGES:
                if stage.name in ("capture", "search", "choose", "realign"):
                    stage.perform(run, work)
            choice, found = run.read(CHOICE), run.read(REALIGNED)
        for name, differences in lost.items():
            differences.append(found.paired[name].difference)
        figures = ", ".join(f"{name} {found.top1[name].percent:.2f} %" for name in ("layernorm", *lost))
        print(f"seed {seed}: {choice.area:g} LUT, {figures}", flush=True)
    for name, differences in lost.items():
        print(f"{name}: {mean(differences):+.2f} points on average", flush=True)


if __name__ == "__main__":
    main()
