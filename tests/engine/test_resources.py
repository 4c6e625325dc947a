"""What is predicted of an engine's resources: by rule for memories, by measured parts for all else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine.small_engines import ENGINES, IMAGE, NORMED, program

import hwnorm.engine
from hwnorm.cost.blocks import DEEP, LARGE, in_blocks, memory
from hwnorm.cost.structure import Table
from hwnorm.engine.devices import budget_of, whole
from hwnorm.engine.emit import core_sources, parameters, sources, units
from hwnorm.engine.engine import sharing
from hwnorm.engine.measure import MEMORIES, draw, fit, renamed
from hwnorm.engine.memories import descriptors
from hwnorm.engine.parts import TERMS, Family, instances
from hwnorm.engine.phase import DESCRIPTOR_BITS
from hwnorm.engine.resources import (
    Resources,
    _contents,
    engine_resources,
    is_predicted,
    least_resources,
    load_parts,
    unit_parameters,
)
from hwnorm.engine.space import Candidate, front
from hwnorm.errors import InputError
from hwnorm.resources import resource
from hwnorm.synth.flow import Counts, instances_counts
from hwnorm.targets.target import load_target

RTL = resource("rtl") / "engine"
#: Targets whose parts were measured.
MEASURED = sorted(path.stem for path in (Path(hwnorm.engine.__file__).parent / "data").glob("*.json"))
#: Engines without a LayerNorm unit, whose parts are not measured.
FUNCTIONS = [name for name in ENGINES if name not in NORMED]
#: Words, bits and blocks of 18 kbit that Yosys 0.70 found on both targets; those of LUTs have none.
BLOCKS = [
    (129, 145, 5), (200, 48, 2), (300, 36, 1), (513, 37, 3), (700, 400, 23), (1025, 48, 5), (1500, 37, 4),
    (2100, 72, 10), (2100, 145, 22), (3000, 19, 5), (4096, 37, 10), (9000, 73, 41), (33000, 37, 85),
    (128, 400, 0), (300, 8, 0),
]  # fmt: skip
#: Words, bits, and LUTs as memory on UltraScale+ and on ECP5, as Yosys 0.70 found them.
DISTRIBUTED = [
    (5, 48, 32, 48), (33, 15, 24, 48), (65, 5, 24, 40), (90, 24, 48, 144), (127, 15, 48, 128),
    (128, 48, 112, 384), (129, 9, 40, 108), (200, 19, 96, 260), (300, 1, 40, 76),
]  # fmt: skip


@pytest.mark.parametrize(("words", "bits", "blocks"), BLOCKS)
@pytest.mark.parametrize("technology", ["xilinx", "ecp5"])
def test_blocks_are_those_of_synthesis(words, bits, blocks, technology):
    assert memory(words, bits, technology).bram == blocks


@pytest.mark.parametrize(("words", "bits", "xilinx", "ecp5"), DISTRIBUTED)
def test_luts_as_memory_are_those_of_synthesis(words, bits, xilinx, ecp5):
    assert (memory(words, bits, "xilinx").lut, memory(words, bits, "ecp5").lut) == (xilinx, ecp5)


def test_the_rule_is_that_of_the_verilog():
    text = (RTL / "engine_memory.v").read_text()
    found = dict(re.findall(r"parameter (\w+) += (\d+)", text))
    assert (int(found["DEEP"]), int(found["LARGE"])) == (DEEP, LARGE)
    assert "WORDS > DEEP && WORDS * BITS >= LARGE" in text
    assert [in_blocks(*size) for size in ((128, 400), (129, 31), (129, 32), (200, 20))] == [
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_instances_are_those_of_the_verilog(name):
    """Every module that the Verilog instantiates is counted, and nothing else."""
    made = program(name)
    p = parameters(made)
    found = instances(p, *(unit_parameters(p, unit) for unit in units(made)))
    texts = sources(made)
    modules = {m for text in texts.values() for m in re.findall(r"^module (\w+)", text, re.MULTILINE)}
    # Wires alone, and kernels, which have costs of their own.
    rest = {
        m for m in modules if re.search(r"phase|_core|engine_(function|exponential)_|^(hwnorm_)?engine$", m)
    }
    assert {part.module for part in found} == modules - rest | {"engine_core"}
    assert {part.module for part in found} == set(TERMS)
    multipliers = {part.module: part.count for part in found if part.module.endswith("multiplier")}
    assert multipliers["engine_lut_multiplier"] == made.engine.lut_multipliers
    assert sum(multipliers.values()) == made.engine.multipliers
    assert sum(part.count for part in found if part.module == "engine_lane") == made.engine.tokens


@pytest.mark.parametrize("device", MEASURED)
def test_coefficients_name_terms_that_there_are(device):
    """A term that was renamed would count nothing."""
    costs, target = load_parts(device), load_target(device)
    family = Family(target.flow.technology, target.shift_register)
    terms: dict[str, set[str]] = {}
    for seed in range(20):
        drawn = draw(device, np.random.default_rng(seed))
        made = (unit_parameters(drawn.parameters, unit) for unit in (drawn.functions, drawn.exponentials))
        for part in instances(drawn.parameters, *made):
            terms.setdefault(part.module, set()).update(TERMS[part.module](part.parameters, family))
    for words, bits in (*MEMORIES, (1 << 10, 8)):
        terms["engine_memory"] |= set(TERMS["engine_memory"]({"WORDS": words, "BITS": bits}, family))
    assert set(costs.modules) == set(terms)
    for module, known in costs.modules.items():
        assert {*known.lut, *known.ff} <= terms[module], module


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if ENGINES[name].device in MEASURED])
def test_an_engine_takes_what_its_parts_do(name):
    made = program(name)
    device = made.engine.device
    found = engine_resources(made, device)
    assert found.dsp >= made.engine.dsps(parameters(made)["SUM"])
    least = least_resources(made.engine)
    assert 0 < least.lut < found.lut
    assert 0 < least.ff < found.ff
    # A memory that is deeper takes more of something, and nothing else does.
    deeper = replace(made, sizes=replace(made.sizes, stream=4 * made.sizes.stream + 600))
    more = engine_resources(deeper, device)
    assert more.bram > found.bram
    assert (more.dsp, more.within(found)) == (found.dsp, False)


def test_a_memory_that_is_logic_takes_what_its_contents_do():
    """Columns that are constant, or like another, take nothing; words that are not named may be anything."""
    found = _contents([0x3FF, 0x0F0, 0x30F], 5, 10)
    # 1, 0, 1 at bits 8 and 9; 1, 0, 1 at 0 to 3; 1, 1, 0 at 4 to 7.
    assert found == Table(3, (bytes([1, 0, 1, 0, 0, 0, 0, 0]), bytes([1, 1, 0, 0, 0, 0, 0, 0])))
    assert _contents([0x3FF, 0x3FF], 5, 10).columns == ()
    made = program("a8")
    columns = _contents(descriptors(made), made.sizes.phases, DESCRIPTOR_BITS).columns
    assert 20 < len(columns) < DESCRIPTOR_BITS / 2


def test_a_fit_finds_the_coefficients_that_there_were():
    target = load_target("xcup")
    family = Family(target.flow.technology, target.shift_register)
    rng = np.random.default_rng(0)
    measured = []
    for columns, depth, total in rng.integers(1, 9, (12, 3)).tolist():
        p = {"COLUMNS": columns, "DEPTH": depth, "SUM": 20 + total, "A_BITS": 8}
        p |= sharing("xcup", 8).parameters
        terms = TERMS["engine_tokens"](p, family)
        lut = round(2 * terms["sums"] + 1.5 * terms["adders"])
        measured.append(("engine_tokens", p, Counts(lut, round(terms["sums"] * 2 + terms["tree"]), 0, 0)))
    found = fit(target, measured, "").modules["engine_tokens"]
    assert found.lut["sums"] == pytest.approx(2, rel=0.02)
    assert found.lut["adders"] == pytest.approx(1.5, rel=0.02)
    assert found.ff == pytest.approx({"sums": 2, "tree": 1}, rel=0.02)


def test_a_target_without_measured_parts_is_refused():
    with pytest.raises(
        InputError, match="engine: target ice40: no parts of engines were measured; they were for"
    ):
        engine_resources(program("a8"), "ice40")


def test_what_was_not_measured_is_not_predicted():
    unit = program("norms").norm_unit
    assert is_predicted("xcup", None)
    assert not is_predicted("xcup", unit)
    assert not is_predicted("ice40", None)
    network = program("norms").network
    with pytest.raises(InputError, match="engine: LayerNorm units: parts of engines were not measured; a"):
        front(network, IMAGE, budget_of("lut=0.5", "xcup"), "xcup", 8)
    assert Candidate(program("norms")).resources is None


def test_parts_of_the_first_target_are_shipped():
    assert "xcup" in MEASURED
    assert load_parts("xcup").target == "xcup"


def test_budgets_are_shares_or_numbers():
    there = whole("xcup")
    assert there == Resources(274_080, 548_160, 2_520, 1_824)
    found = budget_of("lut=0.65,dsp=0.69, bram=300", "xcup")
    assert found == Resources(int(0.65 * 274_080), 548_160, int(0.69 * 2_520), 300)
    for wrong in ("lut", "lut=-1", "luts=0.5", "lut=1.5", "lut=0.5;dsp=0.5", "lut=nan", ""):
        with pytest.raises(InputError, match="option --budget"):
            budget_of(wrong, "xcup")
    with pytest.raises(InputError, match="option --budget: 300000 LUTs; the ZU9EG"):
        budget_of("lut=300000", "xcup")


def test_what_is_nearest_has_the_smallest_of_the_largest_shares():
    most = Resources(100, 100, 10, 0)
    assert Resources(50, 200, 5, 0).share(most) == 2
    assert Resources(1, 1, 1, 1).share(most) == float("inf")
    assert not Resources(1, 1, 1, 1).within(most)


def test_counts_of_a_hierarchy_are_those_of_all_its_instances():
    stat = {
        "modules": {
            "\\top": {"num_cells_by_type": {"middle": 3, "LUT2": 1}},
            "middle": {"num_cells_by_type": {"$paramod\\leaf": 2, "FDRE": 5, "RAM64M8": 1}},
            "$paramod\\leaf": {"num_cells_by_type": {"DSP48E2": 1, "RAMB36E2": 1}},
        }
    }
    assert instances_counts("xilinx", stat, "top") == Counts(lut=1 + 3 * 8, ff=15, dsp=6, bram=12)


def test_designs_go_together_under_names_of_their_own():
    texts = renamed(core_sources(program("a8")) | {"program.mem": "0\n"}, "e1_")
    core = texts["e1_engine_core.v"]
    assert "module e1_engine_core #(" in core
    assert '"e1_program.mem"' in core
    assert '"table.mem"' in core
    assert "  e1_engine_epilogue #(" in core
    assert texts["e1_program.mem"] == "0\n"
