"""Kills a sweep with SIGKILL at random moments, and holds its table against that of one left alone.

    .venv/bin/python benchmarks/sweep_kills.py [--kills 10] [--seed 0] [--study FILE]

Without a study file: 24 trials with two norms of the built-in model and few images, a few seconds each.
Every other kill takes the worker processes along, else they end by themselves. Tables are compared as
Parquet, byte for byte, without the seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hwnorm.builtin import model as builtin

HWNORM = Path(sys.executable).with_name("hwnorm")
IMAGES = 40
SMALL = f"""
[run]
data = "few.npz"
images = {IMAGES}
only = "blocks.1.norm*"
population = 8
generations = 2

[axes]
input_bits = [8, 10, 12, 16]
output_bits = [6, 8]
within = [0.05, 0.3, 3.0]
"""


def small_study(folder: Path) -> Path:
    """The default study, with its images."""
    with np.load(builtin.IMAGES) as stored:
        np.savez(folder / "few.npz", **{name: stored[name][:IMAGES] for name in stored.files})
    path = folder / "alone.toml"
    path.write_text(SMALL)
    return path


def start(study: Path) -> subprocess.Popen[bytes]:
    """The sweep, in a process group of its own."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [HWNORM, "sweep", study, "--jobs", "2"], stdout=quiet, stderr=quiet, start_new_session=True
    )


def finished(study: Path) -> dict[str, int]:
    """The trials that have finished, and when their results were written."""
    found = study.with_suffix("").glob("trials/*/result.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def table_bytes(study: Path) -> bytes:
    """The table as Parquet without its times."""
    table = pq.read_table(study.with_suffix("") / "results.parquet").drop_columns("seconds")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def main() -> None:
    """Run the study alone, then under fire, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--study", type=Path, help="study file; it is copied, so that its paths must be absolute"
    )
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside)
        alone = (
            Path(shutil.copy(options.study, folder / "alone.toml")) if options.study else small_study(folder)
        )
        began = time.monotonic()
        if start(alone).wait() != 0:
            sys.exit("the sweep that was left alone failed")
        whole = time.monotonic() - began
        print(f"left alone: {whole:.0f} s, {len(finished(alone))} trials", flush=True)

        killed = Path(shutil.copy(alone, folder / "killed.toml"))
        done: dict[str, int] = {}
        kills = redone = 0
        while kills < options.kills:
            process = start(killed)
            time.sleep(chance.uniform(0.2, 2 * whole / (options.kills + 1)))
            if process.poll() is not None:
                break  # it was faster than its killer
            (os.killpg if kills % 2 else os.kill)(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            now = finished(killed)
            redone += sum(now.get(name) != at for name, at in done.items())
            done = now
            print(f"kill {kills}: {len(done)} trials finished", flush=True)
        if start(killed).wait() != 0:
            sys.exit("the sweep that was killed did not come to its end")
        now = finished(killed)
        redone += sum(now[name] != at for name, at in done.items())
        same = table_bytes(alone) == table_bytes(killed)
        told = "the same" if same else "DIFFER"
        print(f"{kills} kills; finished trials that ran again: {redone}; tables: {told}")
        sys.exit(not same or redone > 0)


if __name__ == "__main__":
    main()
