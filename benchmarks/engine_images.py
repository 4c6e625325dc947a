"""Whole images through an engine's Verilog: logits and cycles of each, and how long it took.

.venv/bin/python benchmarks/engine_images.py --data DIR [--run runs/demo] [--images 256] [--budget dsp=200]

The built-in network of a run with integers, on the fastest engine within the budget; images are the first of
DIR's test images. The simulator is built anew: its time is part of the figure.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from hwnorm.data.config import input_config
from hwnorm.data.images import load_images
from hwnorm.engine.devices import budget_of
from hwnorm.engine.simulate import Simulator, compare
from hwnorm.engine.space import front
from hwnorm.progress import out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.quantize import integer_network


def main() -> None:
    """Print what was found; exit status 1 unless all is equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder with integers")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--budget", default="dsp=200")
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    network, model = integer_network(run), Inputs(run.settings).model
    began = time.perf_counter()
    most = budget_of(options.budget, "xcup")
    picked = front(
        network, tuple(input_config(model)["input_size"]), most, "xcup", run.settings.activation_bits
    )[-1]
    searched = time.perf_counter()
    tests = load_images(options.data, "test", model).limited(options.images)
    images = np.concatenate([part.numpy() for part, _ in tests.batches(100)])
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HWNORM_CACHE"] = cache
        simulator = Simulator(picked.program)
        built = time.perf_counter()
        found = simulator.run(images)
    ended = time.perf_counter()
    program = picked.program
    equal = compare(program, images, found)
    engine = program.engine
    products = sum(program.products) / picked.cycles
    out.print(
        f"{engine}: {engine.multipliers} "
        f"multipliers in the array, {engine.products[0]} or {engine.products[1]} products a cycle",
        soft_wrap=True,
    )
    out.print(
        f"{len(images)} images: logits of {equal.logits} equal, cycles of {equal.cycles} equal "
        f"({found[0].cycles} an image); utilisation {100 * picked.utilisation:.1f} %, "
        f"{products / engine.multipliers:.2f} products a cycle and multiplier of the array, "
        f"{products / picked.dsps:.2f} with the epilogue's",
        soft_wrap=True,
    )
    cycles = sum(image.cycles for image in found)
    out.print(
        f"search {searched - began:.1f} s, build {built - searched:.1f} s, images {ended - built:.1f} s "
        f"({cycles / (ended - built):.0f} cycles a second)",
        soft_wrap=True,
    )
    raise SystemExit(not equal.logits == equal.cycles == len(images))


if __name__ == "__main__":
    main()
