"""Seconds of the demo, stage by stage, and of the tests, the slowest of them by name.

.venv/bin/python benchmarks/pace.py [--jobs N] [--tests]

A stage's CPU seconds are those of this process and of all that it started and waited for. The folder is
fresh, and so is the cache of Verilated models, as after ``make setup`` in a new checkout. What the machine
does besides shows in the wall clock, hardly in the CPU seconds: compare those.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[1]
SLOWEST = 20
T = TypeVar("T")


class Pace:
    """Prints a line for each step, and one for all of them."""

    def __init__(self, title: str) -> None:
        self.start = self.now()
        print(f"{title:24} {'wall s':>8} {'CPU s':>8}", flush=True)

    @staticmethod
    def now() -> tuple[float, float]:
        """Seconds of the wall clock; CPU seconds of this process and of its finished children."""
        times = os.times()
        return time.perf_counter(), times.user + times.system + times.children_user + times.children_system

    def line(self, name: str, since: tuple[float, float]) -> None:
        """Print what has passed since then."""
        wall, cpu = (now - then for now, then in zip(self.now(), since, strict=True))
        print(f"{name:24} {wall:8.1f} {cpu:8.1f}", flush=True)

    def step(self, name: str, work: Callable[[], T]) -> T:
        """Do the work and print its line."""
        since = self.now()
        result = work()
        self.line(name, since)
        return result

    def total(self) -> None:
        """Print the line of all steps."""
        self.line("total", self.start)


def demo(folder: Path, jobs: int) -> None:
    """The main job on the built-in model, as ``make demo`` runs it."""
    pace = Pace("demo")
    since = pace.now()
    from hwnorm.progress import err
    from hwnorm.runs.folder import RunFolder
    from hwnorm.runs.inputs import Inputs
    from hwnorm.runs.settings import RunSettings
    from hwnorm.stages import main

    err.quiet = True
    pace.line("imports", since)
    run = RunFolder.create(folder, RunSettings(), force=False)
    inputs = Inputs(run.settings)
    pace.step("inputs", lambda: (inputs.model, inputs.training_images, inputs.test_images))
    work = main.Work(inputs, jobs)
    for stage in main.STAGES:
        pace.step(stage.name, partial(stage.perform, run, work))
    pace.total()


def tests() -> None:
    """``make test``, its linters alone before it, and the slowest tests."""
    pace = Pace("tests")
    pace.step("make lint", lambda: subprocess.run(["make", "-s", "lint"], cwd=ROOT, check=True))
    environment = os.environ | {"PYTEST_ADDOPTS": f"--durations={SLOWEST} --durations-min=0"}

    def run() -> str:
        return subprocess.run(
            ["make", "-s", "test"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
        ).stdout

    printed = pace.step("make test", run)
    print(printed[max(printed.find("\n=== slowest"), 0) :])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tests", action="store_true", help="time `make test` too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HWNORM_CACHE"] = str(Path(scratch) / "cache")
        demo(Path(scratch) / "run", options.jobs)
    if options.tests:
        del os.environ["HWNORM_CACHE"]
        tests()


if __name__ == "__main__":
    main()
