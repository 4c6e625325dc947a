"""What a sweep itself takes: trials of no work, in all, and each of the first and of the last hundred.

.venv/bin/python benchmarks/sweep_overhead.py [--trials 1000] [--jobs 2] [--sampler random]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from hwnorm.runs.settings import RunSettings
from hwnorm.sweep.study import read_study
from hwnorm.sweep.sweep import sweep

HUNDRED = 100


def nothing(folder: Path, settings: RunSettings, store: Path) -> dict[str, Any]:
    """A trial of no work, which finds something of its own."""
    return {
        "accuracy_name": "top-1",
        "accuracy_layernorm": 91.85,
        "accuracy_float": 90.0,
        "accuracy_bit_true": settings.seed * 37 % 1009 / 20,
        "test_images": 2000,
        "test_fingerprint": "none",
        "area": float(settings.seed * 61 % 997),
        "unit": "LUT",
        "lut": 0,
        "ff": 0,
        "dsp": 0,
        "bram": 0,
        "latency": 0,
        "fmax_mhz": None,
        "kernels": 0,
        "folded": 1,
        "verified": True,
    }


def main() -> None:
    """Run the trials, and tell from the times of their results how long each took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sampler", default="grid")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as beside:
        path = Path(beside) / "zero.toml"
        if options.sampler == "grid":
            text = f"[axes]\nseed = {list(range(options.trials))}\n"
        else:
            head = f"[study]\nsampler = {json.dumps(options.sampler)}\ntrials = {options.trials}\n"
            text = head + "[axes]\nseed = { low = 0, high = 100000 }\n"
        path.write_text(text)
        started = time.monotonic()
        study = read_study(path)
        summary = sweep(study, jobs=options.jobs, run_trial=nothing)
        total = time.monotonic() - started
        at = sorted(file.stat().st_mtime for file in study.folder.glob("trials/*/result.json"))
        first, last = at[HUNDRED] - at[0], at[-1] - at[-1 - HUNDRED]
        started = time.monotonic()
        sweep(study, jobs=options.jobs, run_trial=nothing)
        again = time.monotonic() - started
    print(f"{len(summary.rows)} trials of no work, {options.sampler}: {total:.1f} s; again {again:.1f} s")
    print(f"a trial: {10 * first:.1f} ms in the first hundred, {10 * last:.1f} ms in the last")


if __name__ == "__main__":
    main()
