"""``hwnorm.compile`` and the command of that name: what lies at ``out`` is verified."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwnorm
from hwnorm.cli import app
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.stages import compile as stage
from hwnorm.tools import ToolError

FORMATS = {"input": "s8f5", "output": "s6f3"}
#: Of a shell in which somebody works with the same tools: each alone would break verification.
SHELL = {
    "COCOTB_TEST_FILTER": "nothing_of_that_name",
    "COCOTB_TESTCASE": "nothing_of_that_name",
    "COCOTB_TEST_MODULES": "nothing_of_that_name",
    "COCOTB_RANDOM_SEED": "not a number",
    "GPI_USERS": "/nowhere.so",
    "MAKEFLAGS": "-n",
    "PYTHONWARNINGS": "error",
    "VERILATOR_ROOT": "/nowhere",
    "WAVES": "maybe",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A kernel of few codes, for reading only.

    Made where makefiles could not name it, in a shell whose variables would change what the tools do.
    """
    folder = tmp_path_factory.mktemp("compile") / "12:30 $HOME" / "k"
    with pytest.MonkeyPatch.context() as shell:
        for name, value in SHELL.items():
            shell.setenv(name, value)
        return hwnorm.compile("tanh(x)", **FORMATS, out=folder, lanes=2, jobs=1)


@pytest.fixture
def failing(monkeypatch, compiled):
    """HLS gives another result."""
    verdict = compiled.verdict.model_copy(update={"hls_bit_exact": False, "hls_mismatches": 3})
    monkeypatch.setattr(stage, "verify_packages", lambda folders, jobs: [verdict])


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_result_is_what_lies_there(compiled):
    """The manifest says what the object does, and nothing is left beside the package."""
    manifest = json.loads((compiled.folder / "manifest.json").read_text())
    assert compiled.passed
    assert manifest["top"] == compiled.top == "hwnorm_kernel"
    assert manifest["lanes"] == 2
    assert manifest["resources"] == asdict(compiled.resources)
    assert manifest["latency"] == compiled.datapath.latency
    assert json.loads((compiled.folder / "verdict.json").read_text())["passed"]
    assert [path.name for path in compiled.folder.parent.iterdir()] == ["k"]


def test_expressions_and_formats_may_be_objects(compiled, tmp_path):
    """The same kernel, to the byte."""
    formats = {"input": FixedFormat.parse("s8f5"), "output": FixedFormat.parse("s6f3")}
    again = hwnorm.compile(parse("tanh(x)"), **formats, out=str(tmp_path / "k"), lanes=2)
    assert again.datapath == compiled.datapath
    for name in json.loads((compiled.folder / "manifest.json").read_text())["files"]:
        assert (again.folder / name).read_bytes() == (compiled.folder / name).read_bytes()


def test_the_command_makes_the_same_package(compiled, tmp_path):
    """Where it is asked to; what looks like markup in a path is a part of it."""
    folder = tmp_path / "k[" / "v2][bold] :smile:"
    options = ["--input", "s8f5", "--output", "s6f3", "--lanes", "2", "--out", str(folder)]
    result = CliRunner().invoke(app, ["compile", "tanh(x)", *options])
    assert result.exit_code == 0, (result.output, result.exception)
    assert f"package: {folder}" in result.stdout
    manifests = [json.loads((f / "manifest.json").read_text()) for f in (compiled.folder, folder)]
    assert manifests[0] == manifests[1]
    assert "bit-exact in Verilator and HLS" in result.stdout


def test_what_does_not_pass_is_called_so(compiled, failing, tmp_path):
    """It lies beside, and the earlier package stays as it is; the command ends with 1."""
    before = files(compiled.folder)
    found = hwnorm.compile("0.5*x", **FORMATS, out=compiled.folder, force=True)
    assert not found.passed
    assert found.folder == compiled.folder.with_name("k.unverified")
    assert json.loads((found.folder / "manifest.json").read_text())["expression"] == "0.5*x"
    assert files(compiled.folder) == before
    again = hwnorm.compile("0.25*x", **FORMATS, out=compiled.folder, force=True)  # takes its place
    assert json.loads((again.folder / "manifest.json").read_text())["expression"] == "0.25*x"
    options = ["--input", "s8f5", "--output", "s6f3", "--out", str(tmp_path / "k")]
    result = CliRunner().invoke(app, ["compile", "tanh(x)", *options])
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert str(tmp_path / "k.unverified") in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["k.unverified"]


def test_ctrl_c_leaves_nothing_and_the_same_command_does_it(tmp_path):
    """While Verilator builds its first model: one line, code 130; no folder stays where it was worked in."""
    places = {name: tmp_path / name for name in ("temporary", "cache", "work")}
    for place in places.values():
        place.mkdir()
    options = ["--input", "s6f3", "--output", "s6f3", "--out", "k", "--jobs", "1"]

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from hwnorm.cli import main; main()", "compile", "clip(x,1)", *options],
            cwd=places["work"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"TMPDIR": str(places["temporary"]), "HWNORM_CACHE": str(places["cache"])},
            # Started in the background of a shell, tests ignore SIGINT, and so would what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    process = begin()
    while not list(places["temporary"].glob("hwnorm-build.*/model/*.cpp")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "hwnorm: interrupted; the same command begins anew" in said
    assert "Traceback" not in said
    assert list(places["work"].iterdir()) == list(places["temporary"].iterdir()) == []
    assert not [path for path in places["cache"].rglob("*") if path.name.startswith(".building")]
    process = begin()
    printed, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "bit-exact in Verilator and HLS" in printed
    assert [path.name for path in places["work"].iterdir()] == ["k"]
    assert list(places["temporary"].iterdir()) == []


def test_a_tool_that_fails_leaves_nothing_that_looks_verified(monkeypatch, tmp_path):
    """The files that its command names are there to try it again."""

    def break_off(folders, jobs):
        raise ToolError("kernel: verilator failed", "boom", f"cd {folders[0]} && verilator")

    monkeypatch.setattr(stage, "verify_packages", break_off)
    with pytest.raises(ToolError) as caught:
        hwnorm.compile("tanh(x)", **FORMATS, out=tmp_path / "k")
    assert f"cd {tmp_path / 'k.unverified'} " in caught.value.command
    assert [path.name for path in tmp_path.iterdir()] == ["k.unverified"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"input": "16.11"}, "16.11"),
        ({"clock_mhz": 0.0}, "--clock: 0 MHz"),
        ({"clock_mhz": float("nan")}, "--clock: nan MHz"),
        ({"error": -1.0}, "--error: -1 ulp"),
        ({"target": "asic7"}, "'asic7'"),
        ({"top": "../../victim"}, "not a name for a Verilog module"),
        ({"top": "config"}, "a word of Verilog"),
        ({"top": "n" * 130}, "130 characters; at most 100"),
        ({"lanes": 0}, "--lanes: 0; a whole number, at least 1"),
        ({"lanes": 1.5}, "--lanes: 1.5; a whole number, at least 1"),
        ({"lanes": True}, "--lanes: True; a whole number, at least 1"),
        ({"jobs": -1}, "--jobs: -1; a whole number, at least 1"),
        ({"error": "1ulp"}, "--error: '1ulp'; a number is needed"),
        ({"input": 16}, "--input: 16; a format is text such as 's16f11'"),
        ({"expression": None}, "expression: None; text such as '2.58*tanh(x)+0.24' is needed"),
        ({"expression": "tan(x"}, "tan"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(tmp_path, changes, complaint):
    arguments = {"expression": "tanh(x)", "out": tmp_path / "k"} | FORMATS | changes
    with pytest.raises(InputError) as caught:
        hwnorm.compile(**arguments)
    assert complaint in str(caught.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["k", "k.unverified"])
def test_a_folder_of_somebody_elses_is_not_replaced(tmp_path, name):
    """Neither where the package goes nor where it is written first, not even with force."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match=f"{name} holds other things than a package"):
        hwnorm.compile("tanh(x)", **FORMATS, out=tmp_path / "k", force=True)
    assert [path.name for path in tmp_path.rglob("*")] == [name, "thesis.tex"]


def test_a_link_stays_and_leads_to_the_package(compiled, monkeypatch, tmp_path):
    monkeypatch.setattr(stage, "verify_packages", lambda folders, jobs: [compiled.verdict])
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    hwnorm.compile("tanh(x)", **FORMATS, out=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target" / "manifest.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]


@pytest.mark.parametrize("out", [".", ".."])
def test_the_folder_at_hand_is_no_package(monkeypatch, tmp_path, out):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(
        InputError, match=rf"option --out: {out}: this command works in that folder; name one"
    ):
        hwnorm.compile("tanh(x)", **FORMATS, out=out)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
