"""``hwnorm synth``: real tools on a small package, and what is said when they fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small_packages import sign

from hwnorm.cli import app
from hwnorm.emit.package import emit_package
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.synth.package import synth_package
from hwnorm.targets.target import load_target
from hwnorm.tools import ToolError, find_tool


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "kernel"
    fmt = FixedFormat(8, 5)
    emit_package(lower(parse("clip(0.75*x, 1)"), fmt, fmt, load_target("ecp5"), 100.0), "kernel", folder)
    return folder


def test_measured_stands_beside_predicted(package, yosys):
    """LUTs near the prediction, flip-flops exact; log, netlist and artefact are kept."""
    found = synth_package(package, load_target("ecp5"))
    assert found.measured.lut > 10
    assert found.predicted.lut == pytest.approx(found.measured.lut, rel=0.3)
    assert found.predicted.ff == found.measured.ff
    assert found.fmax_mhz is None
    kept = json.loads((package / "synthesis.json").read_text())
    assert kept["kind"] == "synthesis"
    assert kept["targets"]["ecp5"] == json.loads(json.dumps(found.to_json()))
    for log in found.logs:
        assert "Yosys" in (package / log).read_text()
    assert (package / "synth" / "ecp5" / "netlist.json").is_file()


def test_another_target_joins_the_same_artefact(package, yosys):
    """Standard cells are an area; the figures of the other target stay."""
    synth_package(package, load_target("ecp5"))
    found = synth_package(package, load_target("asic"))
    assert found.measured.area > 50
    assert found.measured.lut == 0
    assert set(json.loads((package / "synthesis.json").read_text())["targets"]) == {"ecp5", "asic"}


def test_the_tools_own_message_and_the_command_are_shown(package, yosys, tmp_path):
    """Verilog that Yosys refuses: its words, the command to repeat, and no artefact."""
    broken = tmp_path / "broken"
    shutil.copytree(package, broken)
    (broken / "synthesis.json").unlink(missing_ok=True)
    core = broken / "rtl" / "kernel_core.v"
    core.write_text(core.read_text().replace("endmodule", "endmodul", 1))
    sign(broken)
    with pytest.raises(ToolError, match=r"synthesis of kernel: .* failed with status 1") as caught:
        synth_package(broken, load_target("ecp5"))
    assert "syntax error" in caught.value.output
    assert "synth.ys" in caught.value.command
    assert not (broken / "synthesis.json").exists()


def test_bad_requests_are_refused_in_one_line(package, tmp_path, capsys):
    """No package, an unknown target, a synthesizer that is not there, place and route of standard cells."""
    for arguments, complaint in [
        ((str(tmp_path),), "neither a package (it has no manifest.json) nor a run folder"),
        ((str(package), "--target", "virtex"), "target 'virtex': unknown; there are asic, ecp5, ice40, xcup"),
        ((str(package), "--yosys", "no-yosys"), "no-yosys: not installed: install no-yosys"),
    ]:
        with pytest.raises(SystemExit) as caught:
            app(["synth", *arguments], standalone_mode=False)
        assert caught.value.code == 2
        assert complaint in capsys.readouterr().err


def test_place_and_route_is_refused_where_no_open_tool_does_it(package, yosys):
    """Standard cells have no --pnr."""
    with pytest.raises(InputError, match="no open tool places and routes it; leave --pnr out"):
        synth_package(package, load_target("asic"), pnr=True)


def test_a_missing_wheel_says_what_installs_it(monkeypatch, tmp_path):
    """The extra is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"yowasp-none: not installed: pip install 'hwnorm\[characterize\]'"):
        find_tool("yowasp-none")
