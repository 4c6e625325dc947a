"""A tool that fails: its reason stands in the line, and its logs where the line says."""

from __future__ import annotations

import sys

import pytest

from hwnorm.tools import ToolError, call, run_tool, work_folder

PINS = (
    "Info: Packing IOs..\nERROR: Unable to place cell 'x[7]$tr_io', no BELs remaining\n1 warning, 1 error\n"
)


def fails(folder, said: str) -> ToolError:
    script = f"import sys; print({said!r}, end=''); sys.exit(1)"
    with pytest.raises(ToolError) as caught, work_folder("hwnorm-test.", folder) as work:
        run_tool([sys.executable, "-c", script], work / "nextpnr.log", "place k", cwd=work, environment={})
    return caught.value


def test_the_reason_and_the_log_are_told(tmp_path):
    """As nextpnr says that a design has more pins than the device."""
    error = fails(tmp_path, PINS)
    (kept,) = tmp_path.iterdir()
    log = kept / "nextpnr.log"
    assert f"status 1: Unable to place cell 'x[7]$tr_io', no BELs remaining; see {log}" in str(error)
    assert log.read_text() == PINS
    assert "\n" not in str(error)


def test_a_tool_that_names_no_error_is_told_with_its_status(tmp_path):
    assert "failed with status 1; see " in str(fails(tmp_path, "done, in a way"))


def test_a_tool_does_not_hear_of_the_users_shell(tmp_path, monkeypatch):
    """Yosys and nextpnr of PyPI are Python too: its variables would be theirs."""
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("HOME", "/home/of/the/user")
    said = call([sys.executable, "-c", "import os; print(dict(os.environ))"], tmp_path / "log", "k", tmp_path)
    assert "PYTHONWARNINGS" not in said
    assert "/home/of/the/user" in said


def test_a_work_folder_goes_unless_a_tool_failed(tmp_path):
    with work_folder("w.", tmp_path) as work:
        (work / "a").touch()
    with pytest.raises(KeyboardInterrupt), work_folder("w.", tmp_path):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
