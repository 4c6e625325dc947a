"""Images through the HLS C++ of a run's engine, by g++: whose logits are equal, and how long it took.

.venv/bin/python benchmarks/engine_hls.py [--run runs/demo] [--images 16]

Images are the first ones of the run's test images. Seconds are those of a core.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engine.hls_packages import TESTBENCH, make, run, write_hls, write_program

from hwnorm.progress import out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.engine import picked_program


def main() -> None:
    """Print what was found; exit status 1 unless all logits are equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder with an engine")
    parser.add_argument("--images", type=int, default=16)
    options = parser.parse_args()
    folder = RunFolder.open(options.run)
    inputs = Inputs(folder.settings)
    program = picked_program(folder, inputs)
    engine, tests = program.engine, inputs.test_images.limited(options.images)
    images = np.concatenate([part.numpy() for part, _ in tests.batches(100)])
    with tempfile.TemporaryDirectory() as name:
        package = Path(name)
        write_hls(program, package, len(images))
        write_program(program, package, images)
        began = _seconds()
        compiled = make(package, TESTBENCH)
        built = _seconds()
        done = run(package, package / "program", len(images))
        ended = _seconds()
    said = (compiled.stderr if compiled.returncode else done.stdout).strip()
    out.print(
        f"{engine.tokens} tokens x {engine.columns} columns x {engine.depth} deep: {said}; "
        f"compiled in {built - began:.1f} s, {(ended - built) / len(images):.2f} s an image",
        soft_wrap=True,
    )
    raise SystemExit(compiled.returncode or done.returncode)


def _seconds() -> float:
    """Of a core, by all programs that ran so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


if __name__ == "__main__":
    main()
