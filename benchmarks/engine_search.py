"""How long the search for engines takes, and a prediction of cycles in it.

.venv/bin/python benchmarks/engine_search.py [--run runs/demo] [--budget dsp=200 lut=0.65,dsp=0.69,bram=0.44]

The built-in network of a run with integers, and one of DeiT-S' sizes with weights by chance, a quarter of the
rows at 8 bits. Seconds are those of a core. Every engine that is found has its program made, whose
cycles are held to those of the workload alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.table import Table
from shapes import IMAGE, Shape

from hwnorm.data.config import input_config
from hwnorm.engine.cycles import counters
from hwnorm.engine.devices import budget_of
from hwnorm.engine.space import front
from hwnorm.engine.work import workload_of
from hwnorm.progress import out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.quantize import integer_network


def main() -> None:
    """Print a line a network and budget; exit status 1 unless all cycles are equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder with integers")
    parser.add_argument("--budget", nargs="*", default=["dsp=200", "lut=0.65,dsp=0.69,bram=0.44"])
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    size = tuple(input_config(Inputs(run.settings).model)["input_size"])
    networks = {
        "built-in": (integer_network(run), size, run.settings.activation_bits),
        "DeiT-S": (Shape(384, 6, 1536, 12).network(0.25, 8), IMAGE, 8),
    }
    names = ("network", "budget", "engines found", "s of the search", "ms a prediction", "cycles equal")
    table, wrong = Table(*names), 0
    for name, (network, image, bits) in networks.items():
        work = workload_of(network, image)
        for budget in options.budget:
            began = time.process_time()
            found = front(network, image, budget_of(budget, "xcup"), "xcup", bits)
            searched = time.process_time()
            made = [counters(work, each.engine) for each in found]
            predicted = time.process_time()
            equal = sum(a == each.timing.counters for a, each in zip(made, found, strict=True))
            wrong += len(found) - equal
            table.add_row(
                name, budget, f"{len(found)}", f"{searched - began:.1f}",
                f"{1e3 * (predicted - searched) / len(found):.2f}", f"{equal}",
            )  # fmt: skip
    out.print(table)
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
