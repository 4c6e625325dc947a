"""The engine's multiplier in Verilog: every product that it shares is the plain one, in one block."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import pytest

from hwnorm.engine.engine import Sharing, sharing
from hwnorm.engine.packing import Packing
from hwnorm.synth.synthesize import synthesize
from hwnorm.targets.target import load_target
from hwnorm.verify.lint import lint
from hwnorm.verify.toolchain import find_toolchain

ROOT = Path(__file__).parents[2]
VERILOG = ROOT / "rtl" / "engine" / "engine_multiplier.v"
OF_LUTS = VERILOG.with_name("engine_lut_multiplier.v")
BENCH = ROOT / "sim" / "engine" / "engine_multiplier_bench.v"
#: Devices and bits of activations, and the products of weights of 4 bits and of codes of 8 bits.
SHARINGS = {("xcup", 8): (3, 2), ("xcup", 6): (4, 2), ("ecp5", 8): (2, 1), ("ecp5", 6): (2, 1)}
#: Those that are made of LUTs too.
IN_LUTS = {("xcup", 8), ("xcup", 6)}


def parameters(shared: Sharing, activation_bits: int) -> dict[str, int]:
    return {"A_BITS": activation_bits, **shared.parameters}


def combinations(packing: Packing) -> int:
    return math.prod((f.most - f.least + 1) ** f.count for f in (packing.wide, packing.narrow))


def test_all_codes(tmp_path):
    """Weights of 4 bits, then codes of 8 bits, -128 among them, at their place: for all engines there are."""
    text, wanted, found, in_luts = BENCH.read_text(encoding="utf-8"), [], {}, set()
    for sets, luts, device, bits in re.findall(r"_sweep #\((.*?)\) u_(luts_)?(\w+)_(\d)", text, re.DOTALL):
        shared = sharing(device, int(bits))
        found[device, int(bits)] = (shared.four.lanes, shared.eight.lanes)
        if luts:
            in_luts.add((device, int(bits)))
        given = {name: int(value) for name, value in re.findall(r"\.(\w+)\((\d+)\)", sets)}
        assert given == ({"LUTS": 1} if luts else {}) | parameters(shared, int(bits))
        wanted += [(combinations(shared.four), 0), (combinations(shared.eight), 0)]
    assert (found, in_luts) == (SHARINGS, IN_LUTS)
    toolchain = find_toolchain()
    sources = [
        VERILOG,
        OF_LUTS,
        BENCH.with_name("engine_multiplier_sweep.v"),
        BENCH,
        ROOT / "sim" / "clock.cpp",
    ]
    built = subprocess.run(
        [
            *(toolchain.verilator, "--cc", "--exe", "--build", "-O3", "-Wno-fatal", "--quiet"),
            *("-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0", "--prefix", "Vbench"),
            *("--top-module", BENCH.stem, "--Mdir", tmp_path, *sources),
        ],
        env=toolchain.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    said = subprocess.run([tmp_path / "Vbench"], capture_output=True, text=True, check=True).stdout
    lines = [tuple(map(int, line.split())) for line in said.splitlines() if line[0].isdigit()]
    assert lines == wanted


@pytest.mark.parametrize("case", SHARINGS, ids=str)
def test_verilator_has_nothing_to_say(case):
    assert lint([VERILOG], VERILOG.stem, find_toolchain(), parameters(sharing(*case), case[1])) == ""


@pytest.mark.parametrize("case", SHARINGS, ids=str)
def test_verilator_has_nothing_to_say_of_luts(case):
    given = parameters(sharing(*case), case[1])
    own = {name: given[name] for name in ("PAIR", "A_BITS", "N4", "G4", "N8")}
    assert lint([OF_LUTS], OF_LUTS.stem, find_toolchain(), own) == ""


@pytest.mark.parametrize("case", SHARINGS, ids=str)
def test_one_block_of_a_device(case, tmp_path, yosys):
    flow = load_target(case[0], "").flow
    made = synthesize([VERILOG], VERILOG.stem, flow, tmp_path, parameters(sharing(*case), case[1]), yosys)
    assert made.total.dsp == 1
