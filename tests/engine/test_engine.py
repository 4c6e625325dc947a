"""Random networks on random engines: the Verilog's logits and cycles, and what holds of every program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from engine.small_integer_networks import Hardware, logits, random_hardware, random_network

from hwnorm.engine.cycles import predict
from hwnorm.engine.emit import core_sources, sources
from hwnorm.engine.engine import Engine
from hwnorm.engine.memories import weight_stream
from hwnorm.engine.norm_unit import norms_of
from hwnorm.engine.phase import DESCRIPTOR_BITS, FIELDS, SEGMENT, Kind, Phase, Segment, Target, descriptor
from hwnorm.engine.program import Program, compile_program, compile_programs
from hwnorm.engine.simulate import Simulator
from hwnorm.integers.operations import IntegerFunction, IntegerScores

#: By name: an engine, a seed whose networks have all kinds of phases between them, and the share of streams
#: that LayerNorms read.
ENGINES = {
    "a8": (Engine(4, 2, 3, beat=128), 154, 0.0),
    "a8 of one column": (Engine(3, 1, 6, beat=256), 4, 0.0),
    "a6": (Engine(2, 2, 5, activation_bits=6, beat=64), 19, 0.0),
    "ecp5": (Engine(5, 3, 2, beat=64, device="ecp5"), 26, 0.0),
    "a8 with norms": (Engine(4, 2, 3, beat=128), 27, 1.0),
    "a6 with some norms": (Engine(2, 2, 5, activation_bits=6, beat=64), 78, 0.5),
}
NETWORKS, IMAGES = 3, 9


@dataclass(frozen=True)
class Case:
    """Programs of one hardware, and images for them."""

    hardware: Hardware
    programs: tuple[Program, ...]
    images: np.ndarray


@cache
def case(name: str) -> Case:
    engine, seed, share = ENGINES[name]
    rng = np.random.default_rng(seed)
    hardware = random_hardware(engine, rng, share)
    programs = compile_programs(
        [random_network(hardware, rng) for _ in range(NETWORKS)], engine, hardware.image
    )
    return Case(hardware, programs, hardware.images(IMAGES, rng))


def hostile(program: Program) -> dict[str, str]:
    """Its Verilog; memories give the complement of a word that is read in the cycle of its writing."""
    rtl = core_sources(program)
    word, written = "words[s_read[INDEX-1:0]]", "s_write && s_address[INDEX-1:0] == s_read[INDEX-1:0]"
    text = rtl["engine_memory.v"]
    assert text.count(f"m_data <= {word};") == 3
    return rtl | {
        "engine_memory.v": text.replace(f"m_data <= {word};", f"m_data <= {written} ? ~{word} : {word};")
    }


def predicted(program: Program, images: int, interval: int) -> list[tuple[int, int, int]]:
    timings = predict(program, images, interval)
    return [timing.counters for timing in timings]


def test_the_engines_run_every_kind_of_phase_on_tiles_of_every_kind():
    programs = [each for name in ENGINES for each in case(name).programs]
    phases = [phase for each in programs for phase in each.phases]
    assert {phase.op for phase in phases} == set(Kind)
    assert any(phase.tiles8 and phase.tiles4 for phase in phases)
    assert {len(phase.segments) for phase in phases} >= {1, 3}
    scores = [op for each in programs for op in each.network.operations if isinstance(op, IntegerScores)]
    assert {op.heads for op in scores} == {1, 2, 3}
    norms = {name: [norms_of(each.network) for each in case(name).programs] for name in ENGINES}
    assert all(norms["a8 with norms"])
    assert any(norms["a6 with some norms"])
    assert len({design for each in norms["a8 with norms"] for design in each}) > 1
    for each in case("a6 with some norms").programs:
        assert any(isinstance(op, IntegerFunction) for op in each.network.operations)
    for name, (engine, _, share) in ENGINES.items():
        if share:
            channels = case(name).hardware.channels
            assert channels % engine.depth
            assert channels % engine.rows8
        tokens = case(name).hardware.tokens
        assert tokens > engine.tokens
        assert tokens % engine.tokens


@pytest.mark.parametrize("name", ENGINES)
def test_logits_and_counters_of_images_back_to_back(name):
    given = case(name)
    builds = {str(sources(each)) for each in given.programs}
    assert len(builds) == 1, "one bitstream serves every network"
    assert len({len(each.phases) for each in given.programs}) > 1
    for number, each in enumerate(given.programs):
        want = logits(each.network, given.images)
        assert len(set(want)) > 1 or number
        simulator = Simulator(each, hostile(each))
        # By the last one weights come long after the first image.
        for interval in (1, 2 + number, 40):
            found = simulator.run(given.images, interval)
            assert [image.logits for image in found] == want
            counters = [image.counters for image in found]
            assert counters == predicted(each, IMAGES, interval)


@pytest.mark.parametrize("name", ENGINES)
def test_stalls_leave_logits_as_they_are(name):
    given = case(name)
    for number, each in enumerate(given.programs):
        found = Simulator(each, hostile(each)).run(
            given.images, interval=1, stalls=20 + 30 * number, seed=number
        )
        assert [image.logits for image in found] == logits(each.network, given.images)
        fewest = [cycles for cycles, _, _ in predicted(each, IMAGES, 1)]
        assert sum(image.cycles for image in found) >= sum(fewest)
        assert [image.busy for image in found] == [busy for _, busy, _ in predicted(each, IMAGES, 1)]


@cache
def programs() -> tuple[Program, ...]:
    """Of engines of any shape; the larger ones are not simulated."""
    rng, found = np.random.default_rng(0), []
    for number in range(15):
        device, bits, pair = [("xcup", 8, 1), ("xcup", 6, 2), ("ecp5", 8, 1)][number % 3]
        tokens, columns, depth = pair * int(rng.integers(1, 9)), *map(int, rng.integers(1, [7, 17]))
        engine = Engine(tokens, columns, depth, bits, int(rng.choice([64, 128, 192, 1024])), device)
        # Few seeds: their kernels are lowered once.
        hardware = random_hardware(engine, np.random.default_rng(number // 6))
        found.append(compile_program(random_network(hardware, rng), engine, hardware.image))
    return tuple(found)


@pytest.mark.parametrize("interval", [1, 5])
def test_cycles_hold_the_work(interval):
    """No multiplier makes more than its products in a cycle, and no cycle is counted twice."""
    for program in programs():
        first, *_ = timings = predict(program, 2, interval)
        for timing in timings:
            assert 0 < program.ideal_cycles <= timing.busy <= timing.cycles
            assert timing.busy + timing.stall <= timing.cycles
            assert timing.busy == sum(phase.busy for phase in timing.phases)
            assert timing.stall == sum(phase.waited["weights"] for phase in timing.phases)
            ends = [0, *(phase.end for phase in timing.phases)]
            for phase, before in zip(timing.phases, ends, strict=False):
                assert before < phase.begin < phase.end
                assert phase.end - phase.begin >= phase.busy
        assert first.cycles >= predict(program)[0].cycles


def test_tiles_hold_every_row_once():
    for program in programs():
        rows = [(row.op.out, row.index) for tile in program.tiles for row in tile.rows]
        linears = program.network.linears
        assert Counter(rows) == Counter((op.out, index) for op in linears for index in range(len(op.weight)))
        for tile in program.tiles:
            room = program.engine.rows8 if tile.bits == 8 else program.engine.rows4
            assert 1 <= len(tile.rows) <= room
            # A row of 4 bits may lie among those of 8, and none of 8 among those of 4.
            assert all(row.op.bits[row.index] <= tile.bits for row in tile.rows)
        beats = sum(
            1 + tile.words * program.engine.word_beats(tile.bits) + program.engine.row_beats(len(tile.rows))
            for tile in program.tiles
        )
        assert weight_stream(program).shape == (beats, program.engine.beat // 8)


def test_phases_read_words_that_there_are():
    for program in programs():
        sizes, engine = program.sizes, program.engine
        for phase in program.phases[:-1]:
            a_words = phase.a_base + (phase.tiles - 1) * phase.a_stride + phase.words
            b_words = phase.b_base + (phase.keys - 1) * phase.b_stride + phase.words
            v_words = phase.b_base + (-(-sizes.tokens // engine.tokens) - 1) * phase.b_stride + phase.tiles8
            match phase.op:
                case Kind.LINEAR:
                    assert phase.image or a_words <= sizes.activations
                    assert phase.words <= sizes.weights * (1 + phase.halves)
                case Kind.SCORES:
                    assert a_words <= sizes.activations
                    assert b_words <= sizes.keys
                case Kind.CONTEXT:
                    assert a_words <= sizes.probabilities
                    assert v_words <= sizes.values
                case Kind.POOL:
                    assert v_words <= sizes.values


def fields_of(bits: int, widths: dict[str, int]) -> dict[str, int]:
    found = {}
    for name, width in widths.items():
        found[name] = bits & ((1 << width) - 1)
        bits >>= width
    assert bits == 0
    return found


def test_descriptors_hold_their_fields():
    for program in programs():
        width = sum(SEGMENT.values())
        for phase in program.phases:
            bits = descriptor(phase)
            assert bits < 1 << DESCRIPTOR_BITS
            found = fields_of(bits, {name: size for name, (size, _) in FIELDS.items()})
            packed = found.pop("segments")
            segments = [
                fields_of(packed >> i * width & ((1 << width) - 1), SEGMENT)
                for i in range(len(phase.segments))
            ]
            assert packed >> len(segments) * width == 0
            made = tuple(
                Segment(**s | {"target": Target(s["target"]), "stream": bool(s["stream"])}) for s in segments
            )  # type: ignore[arg-type]
            flags = {name: bool(found[name]) for name in ("image", "residual", "table")}
            found |= {"op": Kind(found["op"])}
            assert Phase(**found | flags, segments=made, name=phase.name) == phase


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "segments"])
def test_a_field_that_overflows_raises(name):
    bits, _ = FIELDS[name]
    most = Phase(Kind.LINEAR, name="layer", **{name: (1 << bits) - 1} if name != "op" else {})
    descriptor(most)
    with pytest.raises(OverflowError, match=f"layer: {name} is {1 << bits}; {bits} bits hold"):
        descriptor(replace(most, **{name: 1 << bits}))
    with pytest.raises(OverflowError, match=f"layer: {name} is -1"):
        descriptor(replace(most, **{name: -1}))


@pytest.mark.parametrize("name", SEGMENT)
def test_a_segment_that_overflows_raises(name):
    segment = replace(Segment(0, 0, 8, Target.KEYS), **{name: 1 << SEGMENT[name]})
    with pytest.raises(OverflowError, match=f"layer: {name} is {1 << SEGMENT[name]}"):
        descriptor(Phase(Kind.LINEAR, segments=(segment,), name="layer"))
