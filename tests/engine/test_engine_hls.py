"""The engine's HLS C++, compiled with g++: logits of whole images, and a testbench that does fail."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine.hls_packages import QUICK, Done, make, run, write_hls, write_program
from engine.small_engines import images, program
from engine.small_integer_networks import Hardware, logits, random_hardware, random_network

from hwnorm.engine.engine import Engine
from hwnorm.engine.hls import hls_sources
from hwnorm.engine.phase import DESCRIPTOR_BITS, Kind, Target, descriptor
from hwnorm.engine.program import Program, compile_programs
from hwnorm.verify.toolchain import ap_types, find_gxx

VECTORS = 3
#: What runs beside one another once an image is cut; and an hls_stream.h whose streams have ends.
PROCESSES = ("walk", "fetch", "replay", "compute", "report")
BOUNDED = Path(__file__).with_name("bounded")
#: Of small_engines.
NORMED = "norms"
#: By name: an engine, a seed of networks for it, and the share of streams that LayerNorms read.
RANDOM = {
    "ecp5": (Engine(5, 3, 2, beat=64, device="ecp5"), 26, 0.0),
    "a8 of one column": (Engine(3, 1, 6, beat=256), 4, 0.0),
    "a6 with some norms": (Engine(2, 2, 5, activation_bits=6, beat=64), 78, 0.5),
    "a8 with norms": (Engine(4, 2, 3, beat=192), 27, 1.0),
}


def packaged(name: str, folder: Path) -> Path:
    """The package of an engine of small_engines, without what is no HLS."""
    write_hls(program(name), folder, VECTORS)
    write_program(program(name), folder, images(VECTORS)[0])
    return folder


def passes(folder: Path, *flags: str) -> None:
    done = make(folder, " ".join((QUICK, *flags)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"\nPASS: {VECTORS} images\n" in done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A package that has compiled without a warning and run; its network has functions and LayerNorms."""
    folder = packaged(NORMED, tmp_path_factory.mktemp("hls"))
    passes(folder, "-Wall -Wextra -pedantic -Werror -Wno-unused-label")
    return folder


@pytest.mark.parametrize("name", ["a6", NORMED])
def test_images_are_told_apart(name):
    assert len(set(logits(program(name).network, images(VECTORS)[0]))) == VECTORS


def concurrent(folder: Path) -> str:
    """The processes of the dataflow in threads, and streams as deep as they are said to be.

    Pixels change hands whole, so what cuts them ends before what computes with them begins.
    """
    path = folder / "hls" / "hwnorm_engine.cpp"
    text, bounds = re.subn(
        r"#pragma HLS STREAM variable=(\w+) depth=(\d+)", r"\1.bound(\2);", path.read_text()
    )
    call = re.compile(rf"^    ({'|'.join(PROCESSES)})\((.*)\);$", re.MULTILINE)
    text, threads = call.subn(r"    std::thread \1_runs([&] { \1(\2); });", text)
    joins = "".join(f"    {name}_runs.join();\n" for name in PROCESSES)
    text = "#include <thread>\n" + text.rstrip()[:-1] + joins + "}\n"
    assert (bounds, threads) == (9, len(PROCESSES))
    path.write_text(text)
    return f"-pthread -I{BOUNDED}"


def test_no_stream_is_too_short(tmp_path):
    """Activations of 6 bits: pixels of 8 come in halves, and each tile of weights is used twice."""
    folder = packaged("a6", tmp_path)
    passes(folder, concurrent(folder))


@pytest.mark.slow
def test_a_stream_that_is_too_short_gets_stuck(tmp_path):
    folder = packaged("a6", tmp_path)
    path = folder / "hls" / "hwnorm_engine.cpp"
    text, found = re.subn(r"(variable=used_rows depth)=\d+", r"\1=1", path.read_text())
    path.write_text(text)
    done = make(folder, f"{QUICK} {concurrent(folder)}")
    assert found == 1
    assert done.returncode != 0
    assert "FAIL: stuck: " in done.stdout


def random_programs(engine: Engine, seed: int, share: float) -> tuple[Hardware, tuple[Program, ...]]:
    rng = np.random.default_rng(seed)
    hardware = random_hardware(engine, rng, share)
    return hardware, compile_programs(
        [random_network(hardware, rng) for _ in range(3)], engine, hardware.image
    )


@pytest.mark.parametrize(
    "name", [name if name == "ecp5" else pytest.param(name, marks=pytest.mark.slow) for name in RANDOM]
)
def test_one_engine_runs_random_networks(name, tmp_path):
    """Compiled once: the program is what differs between them."""
    hardware, programs = random_programs(*RANDOM[name])
    assert hardware.tokens > programs[0].engine.tokens
    given = hardware.images(4, np.random.default_rng(0))
    write_hls(programs[0], tmp_path, len(given))
    for number, each in enumerate(programs):
        assert hls_sources(each, 250.0, len(given)) == hls_sources(programs[0], 250.0, len(given))
        write_program(each, tmp_path, given)
        done = run(tmp_path, tmp_path / "program", len(given)) if number else make(tmp_path, QUICK)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith(f"PASS: {len(given)} images\n") or not number


def test_random_networks_have_every_kind_of_phase():
    programs = [each for case in RANDOM.values() for each in random_programs(*case)[1]]
    assert {phase.op for each in programs for phase in each.phases} == set(Kind)
    assert any(phase.tiles8 and phase.tiles4 for each in programs for phase in each.phases)
    assert {each.first for each in programs} > {0}


# ---- what is wrong is found: a file of the program ----


def flipped(name: str, at: Callable[[Program, bytes], int], bit: int) -> Callable[[Program, Path], None]:
    """A bit of a file's byte."""

    def break_it(made: Program, folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at(made, bytes(data))] ^= 1 << bit
        (folder / name).write_bytes(data)

    return break_it


def last_tile(made: Program, data: bytes) -> int:
    """Where the last tile of weights begins: the one of the logits."""
    tile, beat = made.tiles[-1], made.engine.beat // 8
    beats = 1 + tile.words * made.engine.word_beats(tile.bits) + made.engine.row_beats(len(tile.rows))
    return len(data) - beats * beat


def weight(made: Program, data: bytes) -> int:
    return last_tile(made, data) + made.engine.beat // 8


def last_row(made: Program, data: bytes) -> int:
    """Its 8 bytes: bias, multiplier, segment and place."""
    engine, rows = made.engine, len(made.tiles[-1].rows)
    return len(data) - engine.row_beats(rows) * engine.beat // 8 + 8 * (rows - 1)


def cut(name: str, size: Callable[[Program], int]) -> Callable[[Program, Path], None]:
    """A file that ends so many bytes early; or late, where they are fewer than none."""

    def break_it(made: Program, folder: Path) -> None:
        data, count = (folder / name).read_bytes(), size(made)
        (folder / name).write_bytes(data[:-count] if count > 0 else data + bytes(-count))

    return break_it


def rewritten(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[Program, Path], None]:
    """Lines of a text."""

    def break_it(made: Program, folder: Path) -> None:
        lines = change((folder / name).read_text().splitlines())
        (folder / name).write_text("".join(f"{line}\n" for line in lines))

    return break_it


def shifted(made: Program, folder: Path) -> None:
    """The first phase rounds a bit later."""
    first = made.phases[0]
    phase = replace(first, segments=(replace(first.segments[0], shift=first.segments[0].shift + 1),))
    bits = f"{descriptor(phase):0{-(-DESCRIPTOR_BITS // 4)}x}"
    rewritten("program.mem", lambda lines: [bits, *lines[1:]])(made, folder)


def beat(made: Program) -> int:
    return made.engine.beat // 8


def row_of_pixels(made: Program) -> int:
    return VECTORS * made.patches.width


def raised(lines: list[str]) -> list[str]:
    *others, logit = lines[-1].split()
    return [*lines[:-1], " ".join((*others, str(int(logit) + 1)))]


FAULTS = {
    "a weight": (flipped("weights.bin", weight, 6), ": logit "),
    "a bias": (flipped("weights.bin", lambda m, d: last_row(m, d) + 2, 2), ": logit "),
    "a multiplier": (flipped("weights.bin", lambda m, d: last_row(m, d) + 5, 3), ": logit "),
    "a row's place": (flipped("weights.bin", lambda m, d: last_row(m, d) + 6, 5), ": logit "),
    "a tile's number": (flipped("weights.bin", last_tile, 1), ": error word 16"),
    "a tile's words": (flipped("weights.bin", lambda m, d: last_tile(m, d) + 4, 0), ": error word 16"),
    "a tile's bits": (flipped("weights.bin", lambda m, d: last_tile(m, d) + 5, 4), ": error word 16"),
    "a tile's rows": (flipped("weights.bin", lambda m, d: last_tile(m, d) + 6, 0), ": error word 16"),
    "the last tile": (flipped("weights.bin", lambda m, d: last_tile(m, d) + 5, 5), ": error word 16"),
    "weights that end early": (cut("weights.bin", beat), ": error word 1"),
    "weights that end late": (cut("weights.bin", lambda m: -beat(m)), ": error word 2"),
    "part of a beat": (cut("weights.bin", lambda m: 1), "weights.bin: no whole beats"),
    "no weights": (lambda m, f: (f / "weights.bin").write_bytes(b""), "weights.bin: no whole beats"),
    "images that end early": (cut("images.bin", row_of_pixels), ": error word 4"),
    "images that end late": (cut("images.bin", lambda m: -row_of_pixels(m)), ": error word 8"),
    "no whole images": (cut("images.bin", lambda m: 1), f"images.bin: not {VECTORS} images of whole beats"),
    "a pixel": (flipped("images.bin", lambda m, d: len(d) - 1, 7), "FAIL: image 2: logit "),
    "a phase": (shifted, ": logit "),
    "a position": (rewritten("table.mem", lambda t: [t[0].translate({48: "7"}), *t[1:]]), ": logit "),
    "a gamma": (
        rewritten("norms.mem", lambda t: [t[0][:-4] + f"{int(t[0][-4], 16) ^ 7:x}" + t[0][-3:], *t[1:]]),
        ": logit ",
    ),
    "a phase too few": (rewritten("program.mem", lambda lines: lines[:-1]), "program.mem has"),
    "no descriptor": (rewritten("program.mem", lambda t: ["z" + t[0][1:], *t[1:]]), "line 1: is no word of"),
    "another logit": (rewritten("expected.txt", raised), "FAIL: image 2: logit 4 is"),
    "results too few": (
        rewritten("expected.txt", lambda lines: lines[1:]),
        "expected.txt has 2 images, not 3",
    ),
    "results too many": (rewritten("expected.txt", lambda t: [*t, t[0]]), "expected.txt has 4 images, not 3"),
    "a logit too few": (
        rewritten("expected.txt", lambda t: [*t[:-1], t[-1].rpartition(" ")[0]]),
        "expected.txt, line 3: not 3 counters and 5 logits",
    ),
    "no number": (rewritten("expected.txt", lambda t: [t[0] + " x", *t[1:]]), "expected.txt, line 1: not 3"),
    "no results": (lambda m, f: (f / "expected.txt").unlink(), "expected.txt cannot be read"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_program_fails(built, tmp_path, name):
    broken = shutil.copytree(built / "program", tmp_path / "program")
    break_it, message = FAULTS[name]
    break_it(program(NORMED), broken)
    done = run(built, broken, VECTORS)
    assert done.returncode == 1
    assert message in done.stdout
    assert "PASS" not in done.stdout


@pytest.mark.parametrize("vectors", ["0", "2", "4", "many"])
def test_another_count_of_images_fails(built, vectors):
    assert run(built, built / "program", vectors).returncode != 0


def test_make_fails_where_nothing_ran(built, tmp_path):
    """A testbench that says nothing, though it ends well; headers that are not there."""
    copy = shutil.copytree(built, tmp_path / "copy")
    testbench = copy / "hls" / "made" / "hwnorm_engine_tb"
    testbench.write_text("#!/bin/sh\n")
    assert make(copy, QUICK).returncode != 0
    testbench.write_text(f"#!/bin/sh\necho 'PASS: {VECTORS} images'\n")
    assert make(copy, QUICK).returncode == 0
    testbench.unlink()
    done = make(copy, QUICK, "AP_TYPES=/nowhere")
    assert done.returncode == 2
    assert "make: no ap_int.h in AP_TYPES=/nowhere; name the folder of Vitis HLS's headers" in done.stderr


# ---- what is wrong is found: the hardware ----

ARRAY, COMPUTE, SEQUENCER = "engine_array.h", "engine_compute.h", "engine_sequencer.h"
SOFTMAX, NORM = "engine_softmax.h", "engine_norm.h"
#: By name: an engine, a file, what stands there, and what stands there instead.
BREAKS = {
    # Were products plain ones, nothing would be borrowed.
    "no borrow": ("a6", ARRAY, "product[place - 1] ?", "false ?"),
    "activations apart": ("a6", ARRAY, "<< j * A_GAP", "<< j * (A_GAP - 1)"),
    "weights apart": ("norms", ARRAY, "<< n * G4", "<< n * (G4 - 1)"),
    "columns of LUTs": ("a6", ARRAY, "product = pair[j] * weights[n]", "product = pair[j] + weights[n]"),
    "halves of pixels": ("a6", ARRAY, "total << 4", "total << 3"),
    "class token": ("a6", COMPUTE, "pass.tile * TOKENS + t >= phase.first", "true"),
    "largest score": ("a6", SOFTMAX, "key == 0 || code > most[parity][t]", "key == 0"),
    "channels of a head": ("a6", COMPUTE, "d < read.lanes", "d < 2"),
    "channels of the next tile": ("a6", SEQUENCER, "low + ROWS8 % DEPTH", "low"),
    "beta": ("norms", NORM, "ap_int<EXACT>(product) + offset", "ap_int<EXACT>(product)"),
    "sums of a tile": ("norms", COMPUTE, "pass.first_rows && pass.begins", "pass.begins"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKS)
def test_wrong_hardware_fails(name, tmp_path):
    engine, file, right, wrong = BREAKS[name]
    folder = packaged(engine, tmp_path)
    text = (folder / "hls" / file).read_text()
    assert text.count(right) == 1
    (folder / "hls" / file).write_text(text.replace(right, wrong))
    done = make(folder, QUICK)
    assert done.returncode != 0
    assert ": logit " in done.stdout, done.stdout + done.stderr


def compiled(folder: Path, *options: str, source: str = "hwnorm_engine.cpp") -> Done:
    """What g++ says of a source, without what a script for HLS has of its own."""
    gxx, _ = find_gxx()
    quiet = ["-Wno-unknown-pragmas", "-Wno-unused-label"]
    command = [gxx, "-std=c++14", "-fsyntax-only", *quiet, *options, "-isystem", ap_types(), folder / source]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("G4 = 9;", "G4 = 8;", "G4 and G8 must hold a product"),
        ("A_GAP = 18;", "A_GAP = 17;", "A_GAP must hold its products"),
        ("N4 = 2;", "N4 = 3;", "weights must fit their port"),
        ("SUM = ", "SUM = 1 + 0 * ", "SUM, N8 and PAIR must be as in Verilog"),
    ],
)
def test_illegal_parameters_do_not_compile(tmp_path, right, wrong, message):
    folder = packaged("a6", tmp_path) / "hls"
    text = (folder / "engine_parameters.h").read_text()
    assert text.count(f" {right}") == 1
    (folder / "engine_parameters.h").write_text(text.replace(f" {right}", f" {wrong}"))
    done = compiled(folder, source="engine_array.h")
    assert done.returncode != 0
    assert message in done.stderr


# ---- what Vitis HLS reads, which is not there ----

#: What the pragmas here may be, each with its options; g++ passes over a wrong one.
PRAGMAS = {
    "INTERFACE": {"mode", "port", "storage_type"},
    "DATAFLOW": set(),
    "PIPELINE": {"II"},
    "UNROLL": set(),
    "INLINE": set(),
    "STREAM": {"variable", "depth"},
    "STABLE": {"variable"},
    "ARRAY_PARTITION": {"variable", "dim", "complete"},
    "ARRAY_RESHAPE": {"variable", "dim", "complete"},
    "BIND_OP": {"variable", "op", "impl"},
    "DEPENDENCE": {"variable", "type", "dependent"},
}


def pragma_faults(text: str) -> list[str]:
    """Pragmas that are none, and those of variables that are declared nowhere before them."""
    found = []
    for line in re.finditer(r"#pragma\s+(.*)", text):
        hls, name, *options = line[1].split()
        given = dict((*option.split("=", 1), "")[:2] for option in options)
        known = hls == "HLS" and name in PRAGMAS and set(given) <= PRAGMAS[name]
        variable = given.get("variable", given.get("port", "return")).partition(".")[0]
        if not known or (
            variable != "return" and not re.search(rf"\b{variable}\b[^.=]", text[: line.start()])
        ):
            found.append(line[0])
    return found


def test_pragmas_are_of_what_is_there():
    for name in (NORMED, "a6"):
        for file, text in hls_sources(program(name), 250.0, VECTORS).items():
            assert pragma_faults(text) == [], file
    right = hls_sources(program(NORMED), 250.0, VECTORS)["engine_compute.h"]
    for wrong in ("variable=activation ", "type=inter independent=", "#pragma HLS PIPE ", "#pragma HSL "):
        before = {"v": "variable=activations ", "t": "type=inter dependent=", "#": "#pragma HLS PIPELINE "}[
            wrong[0]
        ]
        assert pragma_faults(right.replace(before, wrong))


def test_no_phase_reads_what_it_writes():
    """Pragmas say so of the memories' dependences, and simulation would never show that they do not hold."""
    looked_at: Counter[str] = Counter()
    for made in (each for case in RANDOM.values() for each in random_programs(*case)[1]):
        tiles = iter(made.tiles)
        scored: dict[int, set[int]] = {}
        for phase in made.phases:
            tokens = range(phase.tiles)
            read = {phase.a_base + tile * phase.a_stride + n for tile in tokens for n in range(phase.words)}
            targets = {segment.target for segment in phase.segments}
            if phase.op == Kind.SCORES:
                assert targets == {Target.SCORES}
                base, words = phase.segments[0].base, phase.tiles * phase.offset_stride
                scored[phase.slot] = set(range(base, base + words))
            elif phase.op == Kind.CONTEXT:
                # The softmax of the next head goes on meanwhile: of the other slot.
                assert Target.VALUES not in targets
                assert read <= scored.pop(phase.slot)
                looked_at["probabilities"] += len(scored)
                assert not any(read & words for words in scored.values())
            elif phase.op == Kind.POOL:
                assert Target.VALUES not in targets
            elif phase.op == Kind.LINEAR:
                own = itertools.islice(tiles, phase.tiles8 + phase.tiles4)
                rows = [(phase.segments[row.segment], row) for tile in own for row in tile.rows]
                lanes = {Target.VALUES: made.engine.rows8}
                flat = [
                    tile * phase.stream_stride + row.high * lanes.get(to.target, made.engine.depth) + row.low
                    for tile, (to, row) in itertools.product(tokens, rows)
                    if phase.residual
                ]
                assert len(flat) == len(set(flat))
                looked_at["stream"] += len(flat)
                if not phase.image:
                    assert not read & {
                        to.base + tile * phase.offset_stride + row.high
                        for tile, (to, row) in itertools.product(tokens, rows)
                        if to.target == Target.ACTIVATIONS
                    }
                    looked_at["activations"] += Target.ACTIVATIONS in targets
    assert min(looked_at[name] for name in ("probabilities", "stream", "activations")) > 10


def script_of(name: str, folder: Path, environment: dict[str, str]) -> list[list[str]]:
    """The commands of ``run_hls.tcl`` with their arguments, as Tcl calls them."""
    hls = packaged(name, folder) / "hls"
    tcl, calls = pytest.importorskip("tkinter").Tcl(), []
    known = (
        *("open_project", "set_top", "add_files", "open_solution", "set_part", "create_clock"),
        *("csim_design", "csynth_design", "cosim_design", "export_design", "exit"),
    )
    for command in known:
        tcl.createcommand(command, lambda *given, command=command: calls.append([command, *map(str, given)]))
    for variable, value in environment.items():
        tcl.eval(f"set ::env({variable}) {value}")
    tcl.evalfile(str(hls / "run_hls.tcl"))
    return calls


def test_the_script_names_every_source_and_runs_every_step(tmp_path):
    calls = script_of("norms", tmp_path, {})
    hls = tmp_path / "hls"
    assert ["set_top", "hwnorm_engine"] in calls
    added = {call[-1] for call in calls if call[0] == "add_files"}
    assert added == {path.name for path in hls.glob("*.cpp")}
    assert [call[-1] for call in calls if "-tb" in call] == ["hwnorm_engine_tb.cpp"]
    assert ["set_part", "xczu9eg-ffvb1156-2-e"] in calls
    assert ["create_clock", "-period", "4"] in calls
    vectors = f"{tmp_path / 'program'} {VECTORS}"
    steps = [["csim_design", "-argv", vectors], ["csynth_design"], ["cosim_design", "-argv", vectors]]
    assert calls[-5:] == [*steps, ["export_design", "-format", "ip_catalog"], ["exit"]]


def test_a_part_that_is_not_known_comes_from_the_environment(tmp_path):
    assert ["set_part", "xc7a35t"] in script_of("ecp5", tmp_path, {"PART": "xc7a35t"})
