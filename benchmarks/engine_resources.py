"""What synthesis makes of whole engines that nothing was fitted to, beside what is predicted of them.

.venv/bin/python benchmarks/engine_resources.py --device xcup|ecp5 [--count 40] [--seed 0] [--work DIR]

Engines, networks and kernels are random. Yosys synthesizes the rendered top of each, `hwnorm_engine`, with
its memories, kernels and program: every module of it once, and counted as often as it is instantiated.
Results are kept in the work folder; an interrupted benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engine.small_integer_networks import random_hardware, random_network

from hwnorm.engine.emit import memories, sources
from hwnorm.engine.engine import Engine, shared_bits, sharing
from hwnorm.engine.measure import synthesize_together
from hwnorm.engine.program import Program, compile_programs
from hwnorm.engine.resources import engine_resources
from hwnorm.files import digest, write_text
from hwnorm.progress import out
from hwnorm.synth.flow import Counts, instances_counts
from hwnorm.targets.target import load_target

#: Multipliers of the array; networks on one engine's hardware.
LEAST, MOST, NETWORKS = 3, 100, 3
FIELDS = ("lut", "ff", "dsp", "bram")


def draw(device: str, rng: np.random.Generator) -> Engine:
    """An array of any shape, for one of the ways to share a multiplier."""
    # Most have activations of 8 bits.
    ways = [8, *shared_bits(device)]
    bits = ways[rng.integers(len(ways))]
    pair = sharing(device, bits).pair
    engine = None
    while engine is None or not LEAST <= engine.multipliers <= MOST:
        tokens = pair * int(rng.integers(1, 16 // pair + 1))
        columns, depth = int(rng.integers(1, 5)), int(rng.integers(1, 9))
        beat, rescale = int(rng.choice([64, 128, 256])), str(rng.choice(["dsp", "lut"]))
        lut_columns = int(rng.integers(0, columns + 1)) if rng.integers(3) == 0 else 0
        engine = Engine(tokens, columns, depth, bits, beat, device, rescale, lut_columns)
    return engine


def programs(device: str, count: int, seed: int) -> list[Program]:
    """Random networks on random engines."""
    found = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        engine = draw(device, rng)
        hardware = random_hardware(engine, rng)
        networks = [random_network(hardware, rng) for _ in range(NETWORKS)]
        found.append(compile_programs(networks, engine, hardware.image)[0])
    return found


def synthesized(program: Program, device: str, work: Path) -> Counts:
    """What Yosys makes of the whole engine."""
    target = load_target(device)
    design = sources(program) | memories(program)
    folder = work / f"{device}-{digest(design, target.flow.options)}"
    kept = folder.with_suffix(".json")
    if not kept.is_file():
        made = synthesize_together([design], [("hwnorm_engine", {})], target, folder)
        write_text(kept, json.dumps(made.stat))
    stat = json.loads(kept.read_text(encoding="utf-8"))
    return instances_counts(target.flow.technology, stat, "e0_hwnorm_engine")


def main() -> None:
    """Print a line an engine, then mean and worst errors and how many are exact."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("xcup", "ecp5"), required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/engine_resources"))
    options = parser.parse_args()
    drawn = programs(options.device, options.count, options.seed)
    errors: dict[str, list[float]] = {field: [] for field in FIELDS}
    for i, program in enumerate(drawn):
        found = synthesized(program, options.device, options.work)
        predicted = engine_resources(program, options.device)
        told = []
        for field in FIELDS:
            true, said = getattr(found, field), getattr(predicted, field)
            relative = field in ("lut", "ff")
            error = (said - true) / true if relative else float(said != true)
            errors[field].append(abs(error))
            told.append(f"{field} {true} / {said}" + (f" ({100 * error:+.1f} %)" if relative else ""))
        e = program.engine
        print(
            f"{i}: {e.tokens} x {e.columns} x {e.depth}, A{e.activation_bits}, beats of {e.beat}, "
            f"lanes of {e.rescale}, {e.lut_columns} columns of LUTs: {', '.join(told)}",
            flush=True,
        )
    count = len(drawn)
    for field in ("lut", "ff"):
        mean, worst = float(np.mean(errors[field])), max(errors[field])
        out.print(f"{field}: mean error {100 * mean:.1f} %, worst {100 * worst:.1f} %", highlight=False)
    for field in ("dsp", "bram"):
        exact = sum(error == 0 for error in errors[field])
        out.print(f"{field}: {exact} of {count} exact", highlight=False)


if __name__ == "__main__":
    main()
