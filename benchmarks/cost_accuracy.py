"""How well predicted costs agree with synthesis, on random kernels that nothing was fitted to.

    python benchmarks/cost_accuracy.py [--target ecp5 ...] [--count 200] [--placed 60]

Kernels of ``hwnorm.characterize.samples``, 8 to 16 bits in and out, half of them built as written, of another
seed than those that the targets were fitted to. Each is lowered for its target, and its pipelined core is
synthesized. Prints mean absolute percentage error and Spearman's rank correlation of LUTs (NAND2), how far
flip-flops and DSP blocks are off, whether the longest chain of registers in the netlist is the predicted
latency (ecp5), the time of one prediction, and for ecp5 and ice40 the error of the predicted clock over
kernels that nextpnr placed as whole stages.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from hwnorm.characterize.characterize import FIT_SEED
from hwnorm.characterize.measure import Measured, Work, lowered, measure_clocks, measure_kernels
from hwnorm.cost.cost import fmax_mhz, price, resources
from hwnorm.cost.structure import structure
from hwnorm.targets.target import Target, load_target
from hwnorm.tools import YOSYS

HELD_OUT_SEED = 7
assert HELD_OUT_SEED != FIT_SEED


def main() -> None:
    """Print a paragraph a target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", nargs="*", default=["xcup", "ecp5", "ice40", "asic"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--placed", type=int, default=60)
    parser.add_argument("--work", type=Path, default=Path("build/cost_accuracy"))
    parser.add_argument("--worst", type=int, default=0, help="kernels to print, the worst predicted first")
    args = parser.parse_args()
    jobs = os.cpu_count() or 1
    for name in args.target:
        target = load_target(name)
        work = Work(args.work / target.name, target, YOSYS, jobs)
        measured = measure_kernels(work, lowered(work, HELD_OUT_SEED, args.count))
        counted(target, measured, args.worst)
        timed(target, measured)
        if target.name == "ecp5":
            registers(work)
        if target.flow.pnr and args.placed:
            placed(target, work, measured[: args.placed])


def counted(target: Target, measured: list[Measured], worst: int) -> None:
    """Area, flip-flops and DSP blocks."""
    predicted = [resources(m.datapath.nodes, m.datapath.latency, target) for m in measured]
    area = np.array([m.total.in_unit(target.unit) for m in measured])
    guess = np.array([p.lut if target.unit == "LUT" else p.area for p in predicted])
    error = np.abs(guess - area) / np.maximum(area, 1)
    ff, ff_guess = np.array([m.total.ff for m in measured]), np.array([p.ff for p in predicted])
    ff_error = np.abs(ff_guess - ff) / np.maximum(ff, 1)
    dsp = [(p.dsp, m.total.dsp) for p, m in zip(predicted, measured, strict=True)]
    print(
        f"{target.name}: {len(measured)} kernels of {area.min():g} to {area.max():g} {target.unit} "
        f"(median {np.median(area):g})\n"
        f"  {target.unit}: MAPE {100 * error.mean():.2f} % (median {100 * np.median(error):.2f} %), "
        f"Spearman {spearmanr(guess, area)[0]:.4f}, total {guess.sum():.0f} for {area.sum():.0f}\n"
        f"  FF: mean error {100 * ff_error.mean():.2f} %, exact in {(ff == ff_guess).sum()}, "
        f"within 3 % in {(ff_error <= 0.03).sum()}, total {ff_guess.sum()} for {ff.sum()}\n"
        f"  DSP: exact in {sum(p == m for p, m in dsp)}, "
        f"total {sum(p for p, _ in dsp)} for {sum(m for _, m in dsp)}",
        flush=True,
    )
    for i in np.argsort(-error)[:worst]:
        d = measured[i].datapath
        core = measured[i].core
        print(
            f"    {area[i]:g} measured, {guess[i]:g} predicted (core {core.in_unit(target.unit):g}), "
            f"FF {ff[i]} {ff_guess[i]}, {d.latency} stages, {d.input} -> {d.output}: {d.expression}"
        )
        print("      ", dict(structure(d.nodes, d.latency).operations))


def timed(target: Target, measured: list[Measured]) -> None:
    """Seconds of one prediction: the structure of a datapath, and its price."""
    first, second = [], []
    for m in measured:
        start = time.perf_counter()
        built = structure(m.datapath.nodes, m.datapath.latency)
        middle = time.perf_counter()
        price(built, m.datapath.latency, target)
        second.append(time.perf_counter() - middle)
        first.append(middle - start)
    print(
        f"  cost of a lowered datapath: median {1e6 * statistics.median(second):.0f} us, "
        f"mean {1e6 * statistics.mean(second):.0f} us; "
        f"its structure, once: median {1e6 * statistics.median(first):.0f} us"
    )


def registers(work: Work) -> None:
    """The longest chain of registers of every core's netlist beside the latency."""
    right = wrong = 0
    for path in sorted(work.folder.glob("kernels-*/netlist.json")):
        modules = json.loads(path.read_text())["modules"]
        latencies = json.loads((path.parent / "latencies.json").read_text())
        for name, latency in latencies.items():
            found = register_depth(modules[name])
            right, wrong = right + (found == latency), wrong + (found != latency)
    print(f"  latency: right in {right}, wrong in {wrong}")


def register_depth(module: dict[str, Any]) -> int:
    """Most flip-flops on a path from x to y."""
    driver: dict[int, tuple[bool, list[int]]] = {}
    for cell in module["cells"].values():
        directions = cell["port_directions"]
        register = cell["type"] == "TRELLIS_FF"
        inputs = [
            bit
            for port, bits in cell["connections"].items()
            if directions[port] == "input" and not (register and port in ("CLK", "CE", "LSR"))
            for bit in bits
            if isinstance(bit, int)
        ]
        for port, bits in cell["connections"].items():
            if directions[port] == "output":
                driver.update(dict.fromkeys((b for b in bits if isinstance(b, int)), (register, inputs)))

    @cache
    def depth(bit: int) -> int:
        if bit not in driver:
            return 0
        register, inputs = driver[bit]
        return register + max((depth(i) for i in inputs), default=0)

    return max(depth(bit) for bit in module["ports"]["y"]["bits"] if isinstance(bit, int))


def placed(target: Target, work: Work, measured: list[Measured]) -> None:
    """The clock that whole stages reach beside the predicted one."""
    reached = np.array(measure_clocks(work, [m.datapath for m in measured]))
    guess = np.array([fmax_mhz(m.datapath.nodes, target) for m in measured])
    error = np.abs(guess - reached) / reached
    met = [r >= m.datapath.clock_mhz for r, m in zip(reached, measured, strict=True)]
    print(
        f"  Fmax of {len(measured)} placed stages, {reached.min():.0f} to {reached.max():.0f} MHz: "
        f"median error {100 * np.median(error):.1f} %, mean {100 * error.mean():.1f} %; "
        f"{sum(met)} reach the clock they were cut for",
        flush=True,
    )


if __name__ == "__main__":
    main()
