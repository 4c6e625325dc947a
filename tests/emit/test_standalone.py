"""A package simulated by what it brings along: ``make -C sim``, without hwnorm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwnorm.verify.toolchain import ap_types, find_toolchain

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")

PIPE, SKID = "rtl/hwnorm_axis_pipe.v", "rtl/hwnorm_axis_skid.v"
#: What is broken, how, and what the test of the stream must say of it.
BREAKS = {
    "back-pressure": (PIPE, "= m_ready | ~m_valid;", "= 1'b1;", "was withdrawn before it was taken"),
    "TLAST": (PIPE, "last <= {last[LATENCY-2:0], s_last};", "last <= {last[LATENCY-2:0], 1'b0};", "0 frames"),
    "TUSER": (PIPE, "USER_WIDTH-1:0], s_user}", "USER_WIDTH-1:0], {USER_WIDTH{1'b0}}}", "TUSER"),
    "TKEEP": ("rtl/cells.v", ".s_user ({user, keep})", ".s_user ({user, {LANES{1'b1}}})", "TKEEP"),
    "reset": (PIPE, "if (!aresetn) valid <= {LATENCY{1'b0}};\n        else if", "if", "during reset"),
    "late valid": (PIPE, "valid[LATENCY-2:0], s_valid}", "valid[LATENCY-3:0], s_valid, 1'b0}", "latency"),
    "lost beat": (SKID, "assign m_valid = waiting |", "assign m_valid = 1'b0 &", "were sent"),
    "bubble": (SKID, "s_ready <= ~waits;", "s_ready <= ~waits & ~waiting;", "a bubble after beat"),
    "unstable data": (SKID, "if (s_ready) waiting_beat", "waiting_beat", "differs"),
    "lane order": ("rtl/cells.v", "data[lane*16+:9]", "data[(LANES-1-lane)*16+:9]", "TDATA must be"),
    "core": ("rtl/cells_core.v", "assign y = ", "assign y = 1 + ", "TDATA must be"),
}


def make(folder: Path, *arguments: str, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``make -C sim`` with the tools on the PATH that a user would have there, those in ``first`` before."""
    environment = find_toolchain().environment
    places = [str(first)] if first else []
    path = os.pathsep.join([*places, environment["PATH"], str(Path(sys.executable).parent)])
    # A shell in which somebody works at tests of his own.
    own = {"COCOTB_TEST_FILTER": "nothing", "COCOTB_TESTCASE": "nothing", "TESTCASE": "nothing"}
    return subprocess.run(
        ["make", "-C", folder / "sim", *arguments],
        env=environment | own | {"PATH": path, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_verilator_through_cocotb(copied):
    """The default target: every code, the stream contract, Verilator; in a folder with a space."""
    copied = copied.rename(copied.with_name("my 1:2 kernel"))
    done = make(copied, "OPT_FAST=-O0", "OPT_GLOBAL=-O0")  # to compile is what takes time
    assert done.returncode == 0, done.stdout + done.stderr
    assert "512 codes are right" in done.stdout
    assert "TESTS=4 PASS=4" in done.stdout


def test_an_older_cocotb_is_refused(copied, tmp_path):
    """It knows the tests by another variable, and would find none."""
    older = tmp_path / "older" / "cocotb-config"
    older.parent.mkdir()
    older.write_text("#!/bin/sh\necho 1.9.2\n")
    older.chmod(0o755)
    done = make(copied, first=older.parent)
    assert done.returncode == 2
    assert "cocotb 1.9.2 found; 2 or later is needed" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((), []),
        (('name="every_code" ', 'name="other" '), ["test_codes.every_code did not run"]),
        (("</testcase>", "<failure/></testcase>"), ["test_codes.every_code did not pass"]),
        (("</testcase>", "<skipped/></testcase>"), ["test_codes.every_code did not pass"]),
        (("<testsuites", "<"), ["the simulation did not end"]),
    ],
)
def test_results_say_that_all_tests_ran(copied, change, said):
    """Whatever make, simulator and cocotb end with: each test there is must be told of, as passed."""
    names = ["random_stalls", "reset_at_any_time", "full_throughput"]
    cases = [("test_codes", "every_code"), *(("test_axis", name) for name in names)]
    lines = [f'<testcase name="{name}" classname="{module}" time="1"></testcase>' for module, name in cases]
    text = f"<testsuites><testsuite>{''.join(lines)}</testsuite></testsuites>"
    (copied / "sim" / "results.xml").write_text(text.replace(*change, 1) if change else text)
    command = [sys.executable, "check_results.py", "results.xml", "test_codes", "test_axis"]
    done = subprocess.run(command, cwd=copied / "sim", capture_output=True, text=True, check=False)
    assert done.returncode == bool(said), done.stderr
    assert len(done.stderr.splitlines()) == len(said)
    assert all(line in done.stderr for line in said)


@needs_icarus
def test_icarus_through_cocotb(copied):
    """The same in Icarus."""
    done = make(copied, "SIM=icarus")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TESTS=4 PASS=4" in done.stdout


@needs_icarus
@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found(copied, name):
    """Each clause of the contract has a check behind it that fails when the Verilog breaks it."""
    file, old, new, message = BREAKS[name]
    text = (copied / file).read_text()
    assert text.count(old) == 1
    (copied / file).write_text(text.replace(old, new))
    done = make(copied, "SIM=icarus")
    assert done.returncode != 0
    assert message in done.stdout, done.stdout[-3000:]


@needs_icarus
def test_the_plain_testbench(copied):
    """``make verilog`` passes without a warning, and names the code of a vector that was changed."""
    done = make(copied, "verilog")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: cells, 512 of 512 codes" in done.stdout
    assert "warning" not in done.stdout + done.stderr
    spoil(copied)
    done = make(copied, "verilog")
    assert done.returncode != 0
    assert "input code -249: expected" in done.stdout
    program = subprocess.run(
        ["vvp", "-n", "cells_tb.vvp"], cwd=copied / "sim", capture_output=True, text=True, check=False
    )
    assert program.returncode != 0  # by itself, as other flows run it


@needs_icarus
def test_the_plain_testbench_runs_the_combinational_core(copied):
    """A fault in TOP_comb alone is found."""
    file = copied / "rtl" / "cells_comb.v"
    file.write_text(file.read_text().replace("assign y = ", "assign y = 1 + "))
    done = make(copied, "verilog")
    assert done.returncode != 0
    assert "FAIL: cells" in done.stdout


def test_cpp(copied):
    """``make hls`` runs function and stream over every vector, and fails when a vector is changed."""
    done = make(copied, "hls", f"AP_TYPES={ap_types()}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: cells, 512 codes" in done.stdout
    spoil(copied)
    program = subprocess.run(
        ["./hls_tb", "vectors.txt"], cwd=copied / "sim", capture_output=True, text=True, check=False
    )
    assert program.returncode == 1
    assert "cells, input code -249: expected" in program.stdout
    assert "FAIL: cells" in program.stdout
    (copied / "sim" / "vectors.txt").write_text("0 0\n")
    program = subprocess.run(["./hls_tb"], cwd=copied / "sim", capture_output=True, text=True, check=False)
    assert program.returncode == 1
    assert "holds 1 vectors, not 512" in program.stdout


def test_the_cpp_stream_is_tested(copied):
    """A stream that drops TLAST fails."""
    file = copied / "hls" / "cells_axis.cpp"
    file.write_text(file.read_text().replace("out.last = in.last;", "out.last = 0;"))
    done = make(copied, "hls", f"AP_TYPES={ap_types()}")
    assert done.returncode != 0
    assert "TUSER or TLAST is lost" in done.stdout


def spoil(folder: Path) -> None:
    """Change one bit of the expected output of input code -249."""
    file = folder / "sim" / "vectors.txt"
    lines = file.read_text().splitlines()
    code, result = map(int, lines[7].split())
    assert code == -249
    lines[7] = f"{code} {result ^ 1}"
    file.write_text("\n".join(lines) + "\n")
