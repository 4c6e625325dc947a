"""Lowered datapaths: what their certificates say is true, and no signal ever overflows."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from strategies import expressions

from hwnorm.cost.cost import delays, resources
from hwnorm.datapath.ir import Cell, Datapath
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.oracle import run
from hwnorm.lowering.lower import lower, pipelined, sketch
from hwnorm.targets.target import load_target

XCUP = load_target("xcup")
MATH = {
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "clip": lambda x, limit: max(-limit, min(limit, x)),
    "square": lambda x: x * x,
    "abs": abs,
    "min": min,
    "max": max,
}
CASES = [
    ("2.58*tanh(x)+0.24", "s16f11", "s16f11"),
    ("2.58*tanh(x)+0.24", "s16f11", "s8f5"),
    ("clip(0.7491*x, 3)", "s12f8", "s8f4"),
    ("square(x) - 1.5*abs(x)", "s8f4", "s10f5"),
    ("x*sigmoid(1.7*x)", "s10f6", "s10f6"),
    ("max(0.3*x, x) - min(x, 0.1)", "s9f5", "s12f8"),
    ("0.5*x", "s8f0", "s8f0"),
    ("tanh(64*x)", "s8f0", "s8f7"),
    ("tanh(3*x)*tanh(0.5*x)", "s8f5", "s16f14"),
    ("-x", "s8f7", "s8f7"),
]


def lowered(text: str, source: str, to: str, clock_mhz: float = 200.0, bound: float = 1.0) -> Datapath:
    return lower(parse(text), FixedFormat.parse(source), FixedFormat.parse(to), XCUP, clock_mhz, bound)


@pytest.mark.parametrize(("text", "source", "to"), CASES)
def test_the_certificate_is_true(text, source, to):
    """Largest and mean error and the worst code, computed again with Python's own math at every code."""
    datapath = lowered(text, source, to)
    codes = datapath.input.codes()
    ulp, low, high = datapath.output.ulp, datapath.output.low, datapath.output.high
    compiled = compile(text, "expression", "eval")
    errors = []
    for code, result in zip(codes.tolist(), datapath.evaluate(codes).tolist(), strict=True):
        exact = eval(compiled, MATH | {"x": code * datapath.input.ulp})
        errors.append(abs(result - min(max(exact, low), high) / ulp))
    certificate = datapath.certificate
    assert certificate.codes == len(codes)
    assert certificate.max_error_ulp == pytest.approx(max(errors), abs=1e-9)
    assert certificate.mean_error_ulp == pytest.approx(math.fsum(errors) / len(errors), abs=1e-9)
    assert errors[certificate.worst_code - datapath.input.min_code] == pytest.approx(max(errors), abs=1e-9)
    assert max(errors) < 1.0


def check_signals(datapath: Datapath, codes: list[int]) -> None:
    for code in codes:
        signals = run(datapath.nodes, code)
        for node, signal in zip(datapath.nodes, signals, strict=True):
            assert node.fmt.min_code <= signal <= node.fmt.max_code, f"{node.name} at code {code}"
        assert signals[-1] == datapath.evaluate(np.int64(code))


@pytest.mark.parametrize(("text", "source", "to"), CASES)
def test_no_signal_overflows_and_evaluate_is_exact(text, source, to):
    """Every signal in exact arithmetic fits its format, and the last one is what evaluate gives."""
    datapath = lowered(text, source, to)
    codes = datapath.input.codes().tolist()
    if len(codes) > 1024:
        codes = [*codes[:5], *codes[-5:], -1, 0, 1, *random.Random(0).sample(codes, 200)]
    check_signals(datapath, codes)


@settings(max_examples=40)
@given(expression=expressions(5))
def test_random_expressions_meet_their_bound_or_are_refused(expression):
    """Whatever is lowered is within the bound, holds its signals and keeps the clock; else InputError."""
    try:
        datapath = lower(expression, FixedFormat(6, 3), FixedFormat(8, 4), XCUP, 100.0)
    except InputError:
        assume(False)
    codes = datapath.input.codes()
    exact = np.clip(expression.numpy(codes / 8), -8, 127 / 16) * 16
    assert np.abs(datapath.evaluate(codes) - exact).max() < 1.0
    check_signals(datapath, codes.tolist())
    check_pipeline(datapath)


def check_pipeline(datapath: Datapath) -> None:
    nodes = datapath.nodes
    times = delays(nodes, XCUP)
    arrival: list[float] = []
    for node, time in zip(nodes, times, strict=True):
        args = [a for a in node.args if nodes[a].cell is not Cell.CONSTANT]
        assert all(nodes[a].stage <= node.stage for a in node.args)
        before = max((arrival[a] for a in args if nodes[a].stage == node.stage), default=0.0)
        arrival.append(before + time)
    assert max(arrival) + XCUP.register_ns <= 1000 / datapath.clock_mhz + 1e-9
    assert datapath.latency == nodes[-1].stage + 1
    assert max(node.stage for node in nodes) == nodes[-1].stage


@pytest.mark.parametrize("clock_mhz", [50.0, 200.0, 300.0])
@pytest.mark.parametrize(("text", "source", "to"), CASES[:5])
def test_every_stage_fits_the_clock(text, source, to, clock_mhz):
    """No signal is read before it is there, and no path within a stage is longer than the period."""
    check_pipeline(lowered(text, source, to, clock_mhz))


def test_stages_for_another_target_leave_the_function_as_it_is():
    fmt = FixedFormat(12, 8)
    known, other = lower(parse("x*tanh(x)"), fmt, fmt, load_target("xcup"), 250.0), load_target("ecp5")
    found = pipelined(known, other, 60.0)
    assert (found.target, found.clock_mhz, found.certificate) == ("ecp5", 60.0, known.certificate)
    assert np.array_equal(found.evaluate(fmt.codes()), known.evaluate(fmt.codes()))
    assert found == pipelined(found, other, 60.0)
    assert pipelined(known, other, 100.0).latency > found.latency
    with pytest.raises(InputError, match=r"clock 900 MHz: .* on ecp5; at most"):
        pipelined(known, other, 900.0)


@pytest.mark.parametrize(("text", "source", "to"), CASES)
def test_the_sketch_is_a_datapath_too(text, source, to):
    """What the search prices is scheduled like the final kernel and reads x."""
    formats = FixedFormat.parse(source), FixedFormat.parse(to)
    nodes, latency = sketch(parse(text), *formats, XCUP, 200.0)
    assert latency == nodes[-1].stage + 1
    assert nodes[-1].fmt == formats[1]
    assert any(node.cell is Cell.INPUT for node in nodes)


def test_a_tighter_bound_is_kept():
    """A bound near the half ulp that rounding costs makes the inside more precise."""
    assert lowered("1.3*tanh(x)", "s10f6", "s10f7", bound=0.52).certificate.max_error_ulp < 0.52


@pytest.mark.parametrize(("text", "source", "to"), CASES)
def test_fusing_never_costs_more(text, source, to):
    """The cover that is chosen is no dearer than the operators alone, and both are faithful."""
    formats = FixedFormat.parse(source), FixedFormat.parse(to)
    fused, plain = (lower(parse(text), *formats, XCUP, 200.0, fuse=fuse) for fuse in (True, False))
    assert plain.certificate.max_error_ulp < 1.0
    fused_cost, plain_cost = (resources(d.nodes, d.latency, XCUP).cost for d in (fused, plain))
    assert fused_cost <= plain_cost


def test_nested_functions_become_one_unit():
    """tanh of tanh of tanh is one table, not three."""
    text = "tanh(tanh(tanh(x)) + 0.227)"

    def tables(fuse: bool) -> int:
        datapath = lower(parse(text), FixedFormat(12, 8), FixedFormat(10, 8), XCUP, 200.0, fuse=fuse)
        return len({node.part for node in datapath.nodes if node.cell is Cell.TABLE})

    assert tables(fuse=True) == 1
    assert tables(fuse=False) == 3


@pytest.mark.parametrize("text", ["1.3*tanh(x) + 0.1", "exp2(clip(x, 2))", "clip(0.7*x, 1.5)"])
def test_correct_rounding(text):
    """At half an ulp every result is the nearest one."""
    datapath = lowered(text, "s10f6", "s9f5", bound=0.5)
    exact = np.clip(parse(text).numpy(datapath.input.codes() / 64), -8, 255 / 32) * 32
    assert np.abs(datapath.evaluate(datapath.input.codes()) - exact).max() <= 0.5


@pytest.mark.parametrize(
    ("text", "source", "to"),
    [
        ("2.58*tanh(x) + 0.24", "s20f14", "s16f11"),
        ("x*sigmoid(1.7*x)", "s18f12", "s12f7"),
        ("0.3*x + clip(x, 2)", "s24f18", "s20f14"),
        ("exp2(clip(x, 3))*0.5", "s18f12", "s12f8"),
        ("sqrt(abs(x) + 0.1)", "s24f16", "s16f8"),
        ("log2(abs(x) + 0.5)", "s20f14", "s16f8"),
    ],
)
@pytest.mark.parametrize("fuse", [True, False])
def test_wide_inputs_have_a_proven_bound(text, source, to, fuse):
    """The bound is below an ulp, says that it is one, and holds at many codes and at the ends."""
    formats = FixedFormat.parse(source), FixedFormat.parse(to)
    datapath = lower(parse(text), *formats, XCUP, 100.0, fuse=fuse)
    certificate = datapath.certificate
    assert not certificate.exhaustive
    assert certificate.mean_error_ulp is certificate.worst_code is None
    ends = datapath.input.min_code, datapath.input.max_code
    codes = np.append(np.random.default_rng(0).integers(*ends, size=1 << 17, endpoint=True), ends)
    low, high = datapath.output.low, datapath.output.high
    exact = np.clip(parse(text).numpy(datapath.input.to_float(codes)), low, high) / datapath.output.ulp
    error = np.abs(datapath.evaluate(codes) - exact).max()
    assert error <= certificate.max_error_ulp < 1.0


def test_lowering_is_repeatable():
    """The same expression, formats, target and clock give the same datapath."""
    assert lowered(*CASES[0]) == lowered(*CASES[0])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("2*3", "s8f4", "s8f4"), "6: has one value over all codes"),
        (("x - x", "s8f4", "s8f4"), "x - x: has one value over all codes of s8f4 to s8f4; it must"),
        (("100 + x", "s8f4", "s8f4"), r"x \+ 100: has one value over all codes"),
        (("log2(x)", "s8f4", "s8f4"), r"log2\(x\): log2's argument runs from -8 to 7.9"),
        (("1/x", "s8f4", "s8f4"), r"reciprocal\(x\): reciprocal's argument .* must not hold zero"),
        (("sqrt(x - 1)", "s8f4", "s8f4"), r"sqrt\(x - 1\): sqrt's argument runs from -9"),
        (("x", "s8f4", "s8f4", 200.0, 0.0), "error 0 ulp: it must be positive"),
        (("0.5*x", "s8f4", "s8f4", 200.0, 0.4), "error is 0.5 ulp of s8f4 at best; below 0.4 was"),
        # What all results rounded correctly have, told in as many digits as show it.
        (
            ("2.58*tanh(x)", "s8f4", "s8f5", 200.0, 1e-9),
            "error is 0.497 ulp of s8f5 at best; below 1e-09 was",
        ),
        (("x", "s8f4", "s8f4", 5000.0), r"clock 5000 MHz: .* at most \d+ MHz is possible"),
        (("tanh(x)", "s8f4", "s8f4", 1500.0), r"clock 1500 MHz: input x \(x\) takes 0.45 ns on xcup"),
        (("x", "s8f4", "s8f4", 0.0), "clock 0 MHz: it must be a positive number"),
        (("x", "s8f4", "s8f4", -5.0), "clock -5 MHz"),
        (("x", "s8f4", "s8f4", float("nan")), "clock nan MHz"),
        (("square(square(square(x)))", "s32f8", "s16f0"), r"needs \d+ bits; 62 are possible"),
        (("exp2(clip(x, 7))", "s24f20", "s32f20"), r"exp2\(clip\(x, 7\)\): a table over \d+ codes"),
    ],
)
def test_what_cannot_be_lowered_is_said_in_one_line(arguments, complaint):
    """Too wide, constant, too precise or too fast: an InputError that says what would be possible."""
    with pytest.raises(InputError, match=complaint) as caught:
        lowered(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("expression", ["0.3*x", "-1.7*x + 2", "0.3*(0.7*x + 1)"])
@pytest.mark.parametrize("fmt", ["s32f16", "s32f31"])
def test_products_that_have_no_room_are_made_in_parts(expression, fmt):
    """Of ports as wide as there are: faithful by proof, and at codes from everywhere."""
    path = lowered(expression, fmt, fmt)
    assert path.certificate.max_error_ulp < 1
    ends = [path.input.min_code, -1, 0, path.input.max_code]
    codes = np.concatenate([ends, np.arange(-(2**31), 2**31, 2**20)])
    exact = parse(expression).numpy(path.input.to_float(codes)) / path.output.ulp
    off = path.evaluate(codes) - exact.clip(path.output.min_code, path.output.max_code)
    assert np.abs(off).max() <= path.certificate.max_error_ulp
