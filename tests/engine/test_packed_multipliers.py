"""Several products by one multiplier: right for all codes, as many as the ports allow, in Verilog too."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.engine.packing import MULTIPLIERS, Factors, Multiplier, Packing, packings
from hwnorm.errors import InputError
from hwnorm.synth.synthesize import synthesize
from hwnorm.targets.target import load_target
from hwnorm.verify.lint import lint
from hwnorm.verify.toolchain import find_toolchain

ROOT = Path(__file__).parents[2]
VERILOG = ROOT / "rtl" / "engine" / "packed_multiplier.v"
BENCH = ROOT / "sim" / "engine" / "packed_multiplier_bench.v"
#: Products of one multiplication, by device and bits of weights and activations.
LANES = {
    ("xcup", 4, 8): 3,
    ("xcup", 4, 6): 4,
    ("xcup", 4, 4): 6,
    ("xcup", 8, 8): 2,
    ("xcup", 8, 6): 2,
    ("ecp5", 4, 8): 2,
    ("ecp5", 4, 6): 2,
    ("ecp5", 4, 4): 4,
    ("ecp5", 8, 8): 1,
    ("ecp5", 8, 6): 1,
}
#: Codes of a packing that Python tries: the larger ones Verilator does.
FEW = 5_000_000


class Unchecked(Packing):
    """Whatever its ranges say."""

    def __post_init__(self) -> None:
        pass


def combinations(packing: Packing) -> int:
    return math.prod((f.most - f.least + 1) ** f.count for f in (packing.wide, packing.narrow))


@pytest.mark.parametrize("case", LANES, ids=str)
def test_every_packing_is_right_for_all_codes(case):
    device, weights, activations = case
    found = packings(MULTIPLIERS[device], weights, activations)
    assert {packing.lanes for packing in found} == {LANES[case]}
    tried = [packing for packing in found if combinations(packing) <= FEW]
    assert tried or case == ("xcup", 8, 8)
    for packing in tried:
        assert packing.wrong() == 0


@given(
    port=st.integers(6, 16),
    narrow=st.integers(4, 6),
    weights=st.integers(2, 4),
    activations=st.integers(2, 4),
)
def test_what_the_ranges_allow_is_right(port, narrow, weights, activations):
    """Whatever the ports."""
    for packing in packings(Multiplier(port, narrow), weights, activations):
        if combinations(packing) <= 1 << 16:
            assert packing.wrong() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gap": 10}, "products from -896 to 896 in 10 bits"),
        ({"gap": 12}, "the wide port has 27 bits, and sums from"),
        ({"narrow": Factors.activations(2, 8)}, "the narrow port has 18 bits"),
        ({"wide": Factors(3, 4, -8, 7)}, "products from -1016 to 1024 in 11 bits"),
    ],
)
def test_what_does_not_fit_is_refused_and_would_be_wrong(changes, message):
    given = {"multiplier": MULTIPLIERS["xcup"], "gap": 11}
    given |= {"wide": Factors.weights(3, 4), "narrow": Factors.activations(1, 8)} | changes
    with pytest.raises(InputError, match=message):
        Packing(**given)
    if "port" not in message:
        assert Unchecked(**given).wrong() > 0


def test_all_codes_in_verilog(tmp_path):
    """Each instance of the bench is a packing that is offered, and every product is the plain one."""
    text = BENCH.read_text(encoding="utf-8")
    offered = {
        (*packing.parameters().values(), int(packing.wide == Factors.weights(packing.wide.count, bits[0])))
        for device, *bits in LANES
        for packing in packings(MULTIPLIERS[device], *bits)
    }
    defaults = {"WIDE_PORT": 27, "NARROW_PORT": 18, "INNER_WIDE": 1, "WEIGHTS_WIDE": 1}
    names = [*packings(MULTIPLIERS["xcup"], 4, 8)[0].parameters(), "WEIGHTS_WIDE"]
    wanted = []
    for instance in re.findall(r"packed_multiplier_sweep #\((.*?)\) u_", text, re.DOTALL):
        given = defaults | {name: int(value) for name, value in re.findall(r"\.(\w+)\((\d+)\)", instance)}
        key = tuple(given[name] for name in names)
        assert key in offered
        port = dict(zip(names, key, strict=True))
        kinds = (Factors.weights, Factors.activations)[:: 1 if port["WEIGHTS_WIDE"] else -1]
        wide = kinds[0](port["WIDE_COUNT"], port["WIDE_BITS"])
        narrow = kinds[1](port["NARROW_COUNT"], port["NARROW_BITS"])
        multiplier = Multiplier(port["WIDE_PORT"], port["NARROW_PORT"])
        wanted.append(combinations(Packing(multiplier, wide, narrow, port["GAP"], bool(port["INNER_WIDE"]))))
    assert len(wanted) == 6
    toolchain = find_toolchain()
    sources = [VERILOG, BENCH.with_name("packed_multiplier_sweep.v"), BENCH, ROOT / "sim" / "clock.cpp"]
    built = subprocess.run(
        [
            *(toolchain.verilator, "--cc", "--exe", "--build", "-O3", "-Wno-fatal", "--quiet"),
            *("--prefix", "Vbench", "--top-module", BENCH.stem, "--Mdir", tmp_path, *sources),
        ],
        env=toolchain.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    said = subprocess.run([tmp_path / "Vbench"], capture_output=True, text=True, check=True).stdout
    lines = [tuple(map(int, line.split())) for line in said.splitlines() if line[0].isdigit()]
    assert lines == [(count, 0) for count in wanted]


@pytest.mark.parametrize("case", LANES, ids=str)
def test_verilator_has_nothing_to_say(case):
    device, *bits = case
    for packing in packings(MULTIPLIERS[device], *bits):
        assert lint([VERILOG], "packed_multiplier", find_toolchain(), packing.parameters()) == ""


@pytest.mark.parametrize(
    ("changes", "module"),
    [
        ({"GAP": 10}, "GAP_must_hold_a_product"),
        ({"WIDE_COUNT": 4}, "codes_must_fit_their_port"),
        ({"NARROW_COUNT": 2}, "codes_must_fit_their_port"),
        ({"WIDE_COUNT": 0}, "counts_must_be_at_least_1"),
    ],
)
def test_illegal_parameters_stop_elaboration(changes, module):
    parameters = packings(MULTIPLIERS["xcup"], 4, 8)[0].parameters() | changes
    assert module in lint([VERILOG], "packed_multiplier", find_toolchain(), parameters)


@pytest.mark.parametrize("device", MULTIPLIERS)
def test_one_block_of_a_device(device, tmp_path, yosys):
    packing = packings(MULTIPLIERS[device], 4, 8)[0]
    flow = load_target(device, "").flow
    made = synthesize([VERILOG], "packed_multiplier", flow, tmp_path, packing.parameters(), yosys)
    assert made.total.dsp == 1
