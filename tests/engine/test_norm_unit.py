"""The LayerNorm unit's widths and its memory: its steps in integers make what the norm does, and fit."""

from __future__ import annotations

import numpy as np
import pytest
from engine.small_engines import IMAGE, normed
from engine.small_integer_networks import random_norm

from hwnorm.engine.emit import core_sources, memories, parameters
from hwnorm.engine.engine import Engine
from hwnorm.engine.norm_unit import NormUnit, unit_of
from hwnorm.engine.program import compile_program
from hwnorm.fixed import FixedFormat
from hwnorm.integers.operations import IntegerNorm
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.layernorm.model import evaluate, statistics
from hwnorm.layernorm.tokens import hard_tokens
from hwnorm.synth.synthesize import synthesize
from hwnorm.targets.target import load_target


def fits(values: np.ndarray, bits: int) -> bool:
    return bool((values >= -(1 << (bits - 1))).all() and (values < 1 << (bits - 1)).all())


def signed(values: np.ndarray, bits: int) -> np.ndarray:
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values)


def computed(unit: NormUnit, op: IntegerNorm, x: np.ndarray) -> np.ndarray:
    """What the unit makes of codes (tokens, channels), every signal of the width that it has."""
    design = op.design
    words = np.array(unit.words(op), dtype=np.int64)
    assert (words < 1 << (unit.gamma_bits + unit.beta_bits)).all()
    gamma = signed(words & ((1 << unit.gamma_bits) - 1), unit.gamma_bits)
    beta = signed(words >> unit.gamma_bits, unit.beta_bits)
    offset = (beta << unit.up(design)) + (1 << (unit.drop - 1))
    assert fits(offset, unit.offset_bits)
    sums = x.sum(1)
    k, root = statistics(design, sums, (x * x).sum(1))
    t = design.channels * x - sums[:, None]
    left = k[:, None] + unit.a_frac - design.sum_width
    a = np.where(left >= 0, t << np.maximum(left, 0), t >> np.maximum(-left, 0))
    assert fits(a, unit.a_width)
    a >>= unit.less(design)
    z = (a * root[:, None] + (1 << design.r_width)) >> (design.r_width + 1)
    assert fits(z, unit.z_width)
    exact = z * gamma + offset
    assert fits(exact, unit.exact_bits)
    return np.clip(exact >> unit.drop, design.output.min_code, design.output.max_code)


@pytest.mark.parametrize("seed", range(25))
def test_the_units_steps_make_what_the_norm_does(seed):
    rng = np.random.default_rng(seed)
    engine = Engine(2, 1, 2, activation_bits=8 - 2 * (seed % 2))
    channels = int(rng.choice([2, 3, 8, 31, 96, 192, 400]))
    unit = NormUnit(tuple(random_norm(channels, engine, rng) for _ in range(rng.integers(1, 4))))
    for design in unit.designs:
        assert design.gamma is not None
        assert design.beta is not None
        ends = [np.array([f.min_code, f.max_code]) for f in (design.gamma, design.beta)]
        gamma, beta = (rng.choice(codes, size=channels) for codes in ends)
        op = IntegerNorm("n", design.output, "x", design, gamma, beta, 1, "n")
        x = hard_tokens(design, 40, seed).astype(np.int64)
        assert (computed(unit, op, x) == evaluate(design, x, gamma, beta)).all()


def test_cycles_and_multipliers_of_the_built_in_shape():
    gamma = beta = FixedFormat(16, 14)
    unit = unit_of([LayerNormDesign(96, 1, FixedFormat(16, 12), FixedFormat(8, 5), gamma, beta)])
    assert unit is not None
    assert unit.multipliers(Engine(25, 2, 4)) == 25 + 2 + 3
    assert unit.multipliers(Engine(25, 2, 4, device="ecp5")) == 25 + 4 + 3
    # Two tiles of 96 channels; a tile whose tokens' roots take longer.
    assert unit.cycles(Engine(25, 2, 4), 2) == 25 + 5 + 30 + 96 + 96
    assert unit.cycles(Engine(90, 1, 1), 2) == 90 + 5 + 30 + 96 + 90 + 5 + 16
    assert unit_of([]) is None


def design(channels: int = 8, output: int = 5, gamma: tuple[int, int] = (16, 14), beta: int = 4):
    formats = FixedFormat(*gamma), FixedFormat(16, beta)
    return LayerNormDesign(channels, 1, FixedFormat(16, 12), FixedFormat(8, output), *formats)


@pytest.mark.parametrize(
    ("designs", "message"),
    [
        ([design(4096)], "4096 channels of norms; at most 4095 can be"),
        (
            [design(output=0, gamma=(2, 1)), design(output=20, gamma=(14, 0))],
            "33 bits between the finest norm and the coarsest; at most 31 can be",
        ),
        ([design(gamma=(4, 30), beta=38)], "33 bits that norms drop; at most"),
        (
            [design(output=29, gamma=(14, 12), beta=0), design(gamma=(4, 32))],
            "64 bits that a beta is shifted by; at most 63 can be",
        ),
    ],
)
def test_norms_that_the_hardware_has_no_bits_for(designs, message):
    assert message in next(NormUnit(tuple(designs)).faults())
    assert not list(NormUnit((design(4095), design(4095, 6))).faults())


@pytest.mark.parametrize("device", ["xcup", "ecp5"])
def test_yosys_finds_as_many_multipliers(device, tmp_path, yosys):
    """Two lanes of 96 channels."""
    made = compile_program(normed(96), Engine(2, 1, 2, beat=64, device=device), IMAGE)
    unit, p = made.norm_unit, parameters(made)
    assert unit is not None
    wanted = ("engine_norm", "engine_memory", "engine_phase_norm", "layernorm")
    sources = []
    for name, text in (core_sources(made) | memories(made)).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        if name.startswith(wanted):
            sources.append(tmp_path / name)
    given = {name: p[name] for name in ("TOKENS", "DEPTH", "A_BITS", "SUM", "TOTAL", "TILES", "DESCRIPTOR")}
    given |= {"ROWS8": made.engine.rows8, "D": p["NORM_D"], "A_FRAC": p["NORM_A"], "GAMMA": p["NORM_GAMMA"]}
    given |= {"BETA": p["NORM_BETA"], "OFFSET": p["NORM_ADDED"], "DROP": p["NORM_DROP"], "WORDS": p["NORMS"]}
    flow = load_target(device, "").flow
    found = synthesize(sources, "engine_norm", flow, tmp_path, given, yosys)
    assert found.total.dsp == unit.multipliers(made.engine)
