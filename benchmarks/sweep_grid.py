"""Seconds of a grid of 24 trials on the built-in model (sweep_grid.toml), and of a second run of the study.

    .venv/bin/python benchmarks/sweep_grid.py [--out DIR] [--jobs N]

``overhead`` is what the processes' time exceeds the trials' own by, as a share of that.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = Path(__file__).with_suffix(".toml")
HWNORM = Path(sys.executable).with_name("hwnorm")


def cpu_seconds() -> float:
    """User and system time of all that this process has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run the study twice, each time by its command, and print what they took and the front."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder to keep the study in; else a temporary one")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as beside:
        folder = options.out or Path(beside)
        folder.mkdir(parents=True, exist_ok=True)
        study = Path(shutil.copy(STUDY, folder))
        seconds, used = [], []
        for _ in range(2):
            started, load, before = time.monotonic(), os.getloadavg()[0], cpu_seconds()
            subprocess.run([HWNORM, "sweep", study, "--jobs", str(options.jobs)], check=True)
            seconds.append(time.monotonic() - started)
            used.append(cpu_seconds() - before)
            print(f"{seconds[-1]:.1f} s (load before {load:.1f}, after {os.getloadavg()[0]:.1f})", flush=True)
        from hwnorm.sweep.table import read_table

        rows = read_table(study.with_suffix("") / "results.parquet")
        own = sum(row["seconds"] for row in rows)
        share = seconds[0] * options.jobs / own - 1
        print(
            f"{len(rows)} trials, {sum(row['verified'] for row in rows)} verified; their own time {own:.0f} s"
        )
        print(f"wall {seconds[0]:.0f} s with {options.jobs} jobs; overhead {100 * share:.1f} %")
        print(f"{used[0]:.0f} s of CPU: on {options.jobs} idle cores {used[0] / options.jobs:.0f} s of wall")
        print(f"the finished study again: {seconds[1]:.1f} s")
        subprocess.run([HWNORM, "pareto", study], check=True)


if __name__ == "__main__":
    main()
