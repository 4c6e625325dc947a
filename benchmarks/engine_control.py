"""The engine of the built-in network with functions beside the same engine with LayerNorm units.

.venv/bin/python benchmarks/engine_control.py [--run runs/demo] [--data DIR] [--budget dsp=200] [--images 2]
.venv/bin/python benchmarks/engine_control.py --shape DeiT-S [--budget dsp=1024]     # or of a published shape

A shape's network has weights by chance, and is not simulated: its cycles depend on shapes alone.

Two pairs: the fastest engine within the budget for the network with functions, and the same tokens x columns
x depth for the network with its LayerNorms; and the fastest engines within the budget for either. With
``--data`` the networks' top-1 on all of its test images stands beside them. ``--images`` test images go
through the Verilog of every engine: logits and cycles as predicted, or exit status 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from engine_devices import DEIT
from rich import box
from rich.table import Table
from shapes import IMAGE

from hwnorm.data.config import input_config
from hwnorm.data.images import load_images
from hwnorm.engine.devices import budget_of
from hwnorm.engine.emit import parameters
from hwnorm.engine.memories import weight_stream
from hwnorm.engine.parts import memories
from hwnorm.engine.phase import Kind
from hwnorm.engine.shapes import ImageSize
from hwnorm.engine.simulate import Simulator, compare
from hwnorm.engine.space import Candidate, evaluate, front
from hwnorm.integers.cpp import evaluate_cpp
from hwnorm.integers.network import IntegerNetwork
from hwnorm.progress import err, out
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import Norms
from hwnorm.stages.control import with_norms
from hwnorm.stages.quantize import integer_network, make, networks
from hwnorm.stages.tables import print_wide


def main() -> None:
    """Print the tables; exit with 1 if a simulated image was not as predicted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder with integers")
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--budget", default="dsp=200")
    parser.add_argument("--clock", type=float, default=250.0, help="MHz")
    parser.add_argument("--shape", choices=DEIT, help="a network of this shape in place of a run's")
    parser.add_argument("--images", type=int, default=0, help="test images that are simulated")
    options = parser.parse_args()
    if options.shape is not None:
        shape = DEIT[options.shape][0]
        pair = [shape.network(0.25, 8, layernorms) for layernorms in (False, True)]
        print_wide(_table(_compared(*pair, IMAGE, options.budget), options.clock))
        return
    run = RunFolder.open(options.run)
    inputs = Inputs(run.settings)
    image = tuple(input_config(inputs.model)["input_size"])
    functions = integer_network(run)
    err.print("quantize the network with its LayerNorms", highlight=False)
    control = with_norms(run, Norms.LAYERNORM)
    layernorms = make(control, inputs, networks(control, inputs)).network
    if options.data is not None:
        _accuracy(options.data, inputs, functions, layernorms)
    found = _compared(functions, layernorms, image, options.budget)
    print_wide(_table(found, options.clock))
    if options.images:
        raise SystemExit(
            not all(_simulated(name, each, inputs, options.images) for name, each in found.items())
        )


def _compared(
    functions: IntegerNetwork, layernorms: IntegerNetwork, image: ImageSize, budget: str
) -> dict[str, Candidate]:
    """The fastest engines within the budget for either network, and the second on the first one's array."""
    err.print("predict every engine of the space, for either network", highlight=False)
    most = budget_of(budget, "xcup")
    fast = [front(network, image, most, "xcup", 8)[-1] for network in (functions, layernorms)]
    same = evaluate(layernorms, fast[0].engine, image)
    return {"functions": fast[0], "LayerNorm, same array": same, "LayerNorm, same budget": fast[1]}


def _accuracy(data: Path, inputs: Inputs, functions: IntegerNetwork, layernorms: IntegerNetwork) -> None:
    tests = load_images(data, "test", inputs.model)
    parts = [(images.numpy(), labels) for images, labels in tests.batches(1000)]
    for name, network in (("functions", functions), ("LayerNorm", layernorms)):
        right = sum(
            int((evaluate_cpp(network, images).argmax(1) == np.asarray(labels)).sum())
            for images, labels in parts
        )
        out.print(f"{name}: top-1 {100 * right / len(tests):.2f} % of {len(tests)} test images")


def _table(found: dict[str, Candidate], clock: float) -> Table:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (
        *("norms", "array", "multipliers", "of norms", "cycles", "of norms", f"images/s at {clock:g} MHz"),
        *("memories, kbit", "of norms", "weights, bytes", "utilisation"),
    ):
        table.add_column(heading, justify="left" if heading == "norms" else "right")
    for name, each in found.items():
        engine, unit = each.engine, each.program.norm_unit
        bits, of_norms = memory_bits(each)
        phases = [phase for phase in each.timing.phases if phase.op == Kind.NORM]
        table.add_row(
            name,
            f"{engine.tokens} x {engine.columns} x {engine.depth}",
            str(each.dsps),
            str(0 if unit is None else unit.multipliers(engine)),
            str(each.cycles),
            str(sum(phase.end - phase.begin + phase.waited["codes"] for phase in phases)),
            f"{clock * 1e6 / each.cycles:.0f}",
            f"{bits / 1000:.1f}",
            f"{of_norms / 1000:.1f}",
            str(weight_stream(each.program).size),
            f"{100 * each.utilisation:.1f} %",
        )
    return table


def memory_bits(candidate: Candidate) -> tuple[int, int]:
    """Bits of an engine's memories, as its Verilog declares them; those of its LayerNorm unit."""
    p, unit = parameters(candidate.program), candidate.program.norm_unit
    norms = 0
    if unit is not None:
        kept = p["TILES"] * candidate.engine.tokens * unit.statistics_bits
        norms = kept + p["NORMS"] * (unit.gamma_bits + unit.beta_bits)
    return sum(count * words * bits for count, words, bits in memories(p)) + norms, norms


def _simulated(name: str, candidate: Candidate, inputs: Inputs, count: int) -> bool:
    tests = inputs.test_images.limited(count)
    images = np.concatenate([part.numpy() for part, _ in tests.batches(100)])
    program = candidate.program
    equal = compare(program, images, Simulator(program).run(images))
    told = f"logits of {equal.logits} equal, cycles of {equal.cycles} equal"
    out.print(f"{name}: {count} images on Verilator, {told}")
    return equal.logits == equal.cycles == count


if __name__ == "__main__":
    main()
