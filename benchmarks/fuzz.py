"""Seconds and cases a second of fuzzing with fresh seeds: ``benchmarks/fuzz.py [COUNT [SEED]]``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hwnorm.cli.options import JOBS
from hwnorm.fuzz.run import fuzz


def main() -> None:
    """Print the summary and the time; failures go to the folder ``fuzz``."""
    count, seed = (int(text) for text in [*sys.argv[1:], *("5000", "0")[len(sys.argv) - 1 :]])
    started = time.monotonic()
    summary = fuzz(count, seed, JOBS, Path("fuzz"))
    seconds = time.monotonic() - started
    print(*summary.lines(), sep="\n")
    print(f"{seconds / 60:.1f} minutes with {JOBS} processes, {count / seconds:.2f} cases a second")


if __name__ == "__main__":
    main()
