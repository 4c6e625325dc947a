"""Whether the choice for a searched run is the same with other threads and other vector instructions.

Chooses anew from the same fronts in processes of their own, with one and two threads and with PyTorch's
default and AVX2 kernels, and compares the functions, formats and datapaths of ``choice.json`` and of all
offers of ``choices.json``. Losses that are measured for the table alone may differ.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hwnorm.files import read_artefact

CHOOSE = "from hwnorm.cli import main; main()"
SETTINGS = [(threads, kernels) for threads in (1, 2) for kernels in ("default", "avx2")]


def decided(run: Path) -> tuple[Any, ...]:
    """All of the artefacts that is decided, and not only measured."""
    choice = read_artefact(run / "choice.json", "choice")
    choices = read_artefact(run / "choices.json", "choices")
    picks = [point["picks"] for point in choices["front"]]
    return choice["layers"], choices["layers"], picks


def main() -> int:
    """Print a line a setting; 1 if one differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder, searched")
    args = parser.parse_args()
    first, differs = None, False
    for threads, kernels in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            shutil.copytree(args.run, run)
            for name in ("choices.json", "choice.json"):
                (run / name).unlink(missing_ok=True)
            environment = os.environ | {"OMP_NUM_THREADS": str(threads), "ATEN_CPU_CAPABILITY": kernels}
            command = [sys.executable, "-c", CHOOSE, "choose", str(run), "--jobs", "1"]
            subprocess.run(command, env=environment, check=True)
            found = decided(run)
        first = first or found
        same = found == first
        differs |= not same
        print(f"{threads} threads, {kernels}: {'the same' if same else 'ANOTHER'}", flush=True)
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
