"""An engine for a run's network on ECP5-85F, placed and routed: clock, area, images a second.

.venv/bin/python benchmarks/engine_ecp5.py [--run runs/demo] [--clock 80] [--budget lut=0.6] [--config FILE]
    [--work build/engine_ecp5]

The run is copied; its own engine stays. The fastest engine within the budget is picked, or that of FILE is
taken, with functions that are cut into stages for ECP5 and the clock. Yosys synthesizes it module by module,
nextpnr places and routes it with a register at each bit of its ports. Cycles are the model's, and exact.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from hwnorm.engine.stored import PACKAGE
from hwnorm.engine.synthesis import synth_engine
from hwnorm.progress import out
from hwnorm.runs.folder import CONTROL, RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.engine import engine
from hwnorm.stages.tables import engine_synthesis_table, engine_table, print_wide


def main() -> None:
    """Print the engine as it is predicted, then what was found of it, and the slowest path."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder with integers")
    parser.add_argument("--clock", type=float, default=80.0, help="MHz that nextpnr is to reach")
    parser.add_argument("--budget", default="lut=0.6")
    parser.add_argument(
        "--config", type=Path, help="engine of your own, as `hwnorm engine --config` takes it"
    )
    parser.add_argument("--work", type=Path, default=Path("build/engine_ecp5"), help="folder; it is replaced")
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    shutil.copytree(options.run, options.work, ignore=shutil.ignore_patterns(CONTROL))
    run = RunFolder.open(options.work)
    budget = None if options.config else options.budget
    picked = engine(run, Inputs(run.settings), budget, None, options.config, "ecp5", options.clock)
    print_wide(engine_table(picked))
    began = time.perf_counter()
    found = synth_engine(options.work / PACKAGE, pnr=True)
    print_wide(engine_synthesis_table(found))
    assert found.placed is not None
    out.print("slowest path:")
    for net in found.placed.path:
        out.print(f"  {net}", highlight=False, soft_wrap=True)
    out.print(f"{time.perf_counter() - began:.0f} s to synthesize, place and route")


if __name__ == "__main__":
    main()
