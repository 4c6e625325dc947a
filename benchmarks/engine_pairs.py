"""Random networks on random engines: whether logits and cycles are exact, pair by pair.

``benchmarks/engine_pairs.py [--pairs 200] [--seed 0] [--hls-alone]``. Ten networks run on each engine's
hardware, in Verilog and in HLS C++, several images one right behind the other. On a third of the engines some
streams are read by LayerNorms, on a third all. A line is a pair; the last one counts those in which all was
exact. HLS has no cycles to be held to.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engine.hls_packages import QUICK, TESTBENCH, make, run, write_hls, write_program
from engine.small_integer_networks import logits, random_engine, random_hardware, random_network

from hwnorm.engine.cycles import predict
from hwnorm.engine.engine import Engine
from hwnorm.engine.phase import Kind
from hwnorm.engine.program import Program, compile_programs
from hwnorm.engine.simulate import Simulator

NETWORKS, MOST_IMAGES = 10, 12


def main() -> None:
    """Print a line a pair; exit with 1 if any was not exact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first engine; the next ones count on")
    parser.add_argument("--hls-alone", action="store_true", help="leave the Verilog out")
    args = parser.parse_args()
    exact = pairs = 0
    seed = args.seed
    while pairs < args.pairs:
        rng = np.random.default_rng(seed)
        engine = random_engine(rng)
        hardware = random_hardware(engine, rng, (0.0, 0.5, 1.0)[seed % 3])
        networks = [random_network(hardware, rng) for _ in range(min(NETWORKS, args.pairs - pairs))]
        started = time.monotonic()
        programs = compile_programs(networks, engine, hardware.image)
        hls = tempfile.TemporaryDirectory()
        folder = Path(hls.name)
        write_hls(programs[0], folder, 1)
        make(folder, QUICK, TESTBENCH)
        for program in programs:
            images = hardware.images(int(rng.integers(1, MOST_IMAGES + 1)), rng)
            found = "exact" if args.hls_alone else _pair(program, images, rng)
            if found == "exact":
                found = _hls(program, folder, images)
            exact += found == "exact"
            pairs += 1
            norms = sum(phase.op == Kind.NORM for phase in program.phases)
            print(
                f"seed {seed}: {_told(engine)}, {hardware.tokens} tokens, {len(program.phases)} phases, "
                f"{norms} of norms: {found}, {time.monotonic() - started:.1f} s",
                flush=True,
            )
        seed += 1
    what = "logits" if args.hls_alone else "logits and cycles"
    print(f"{exact} of {pairs} pairs are exact in {what}; the next seed is {seed}")
    sys.exit(exact != pairs)


def _pair(program: Program, images: np.ndarray, rng: np.random.Generator) -> str:
    interval, stalls = int(rng.integers(1, 8)), int(rng.integers(1, 80))
    simulator = Simulator(program)
    want = logits(program.network, images)
    found = simulator.run(images, interval)
    stalled = simulator.run(images, interval, stalls, seed=1)
    if [image.logits for image in found] != want:
        return "logits differ"
    if [image.logits for image in stalled] != want:
        return f"logits differ with {stalls} % of stalls"
    got = [image.counters for image in found]
    predicted = [timing.counters for timing in predict(program, len(images), interval)]
    return "exact" if got == predicted else f"interval {interval}: cycles {got}, predicted {predicted}"


def _hls(program: Program, folder: Path, images: np.ndarray) -> str:
    """The same images through the compiled C++; it says what is wrong itself."""
    if not (folder / "hls" / TESTBENCH).is_file():
        return "the HLS C++ does not compile"
    write_program(program, folder, images)
    done = run(folder, folder / "program", len(images))
    return "exact" if done.returncode == 0 else f"HLS: {done.stdout.splitlines()[0]}"


def _told(engine: Engine) -> str:
    size = f"{engine.tokens} x {engine.columns} x {engine.depth}"
    return f"{size} on {engine.device}, A{engine.activation_bits}, beats of {engine.beat}"


if __name__ == "__main__":
    main()
