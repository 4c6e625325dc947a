"""``hwnorm synth`` of an engine's package: counted beside predicted, its top between few pins, refusals."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from engine.small_engines import ENGINES, IMAGE, images, network
from typer.testing import CliRunner

from hwnorm.cli import app
from hwnorm.engine.package import emit_engine
from hwnorm.engine.pins import pins, ports_of
from hwnorm.engine.resources import Resources
from hwnorm.engine.space import evaluate
from hwnorm.engine.synthesis import TOP, EngineSynthesis, _placed, synth_engine
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.tools import ToolError
from hwnorm.verify.lint import lint
from hwnorm.verify.toolchain import find_toolchain

#: The smallest engine: it is synthesized whole.
SMALLEST = replace(ENGINES["ecp5"], tokens=1, depth=1)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("synthesis") / "engine"
    emit_engine(evaluate(network(8), SMALLEST, IMAGE), images(1)[0], folder, 80.0)
    return folder


def command(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["synth", *map(str, arguments)])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.slow
def test_yosys_counts_what_was_predicted(package, yosys):
    """DSP and memory blocks are exact."""
    synth_engine(package)
    found = EngineSynthesis.read(package / "synthesis.json")
    assert found.predicted is not None
    assert (found.counted.dsp, found.counted.bram) == (found.predicted.dsp, found.predicted.bram) == (1, 0)
    assert found.counted.lut == pytest.approx(found.predicted.lut, rel=0.25)
    assert found.counted.ff == pytest.approx(found.predicted.ff, rel=0.25)
    assert "Yosys" in (package / found.logs[0]).read_text()


#: A synthesizer that finds two modules in every design, and no more in the one than in the other.
STUB = """#!/bin/sh
case "$1" in --version) echo "Yosys 0"; exit;; esac
cat "$2"
cat > stat.json <<END
{"modules": {"hwnorm_engine": {"num_cells_by_type": {"part": 3, "LUT4": 5, "MULT18X18D": 1}},
             "part": {"num_cells_by_type": {"CCU2C": 2, "TRELLIS_FF": 7, "DP16KD": 1}}},
 "design": {"num_cells_by_type": {"LUT4": 5}}}
END
"""


def test_what_is_counted_stands_beside_what_was_predicted(package, tmp_path):
    """Through the command line: every module as often as it is there; script and log are kept."""
    folder = shutil.copytree(package, tmp_path / "engine")
    stub = tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    status, said = command(folder, "--yosys", stub)
    assert status == 0, said
    found = EngineSynthesis.read(folder / "synthesis.json")
    assert found.counted == Resources(lut=5 + 3 * 4, ff=21, dsp=1, bram=3)
    told = json.loads((folder / "manifest.json").read_text())["resources"]
    assert found.predicted == Resources(**told)
    assert f"LUT 17 {told['lut']} FF 21 {told['ff']} DSP 1 {told['dsp']} BRAM 3 {told['bram']}" in said
    assert (found.placed, found.rate, found.clock_mhz) == (None, None, 80.0)
    log = (folder / found.logs[0]).read_text()
    assert f"hierarchy -check -top {TOP}" in log
    assert "synth_ecp5  -noflatten" in log
    assert (folder / "synth" / "ecp5" / "program.mem").is_file()


def test_every_bit_of_a_port_has_a_register_of_its_own(package):
    text = (package / "rtl" / f"{TOP}.v").read_text()
    ports = ports_of(TOP, text)
    declared = re.findall(r"^ +(?:input|output) +wire .*?(\w+),?$", text, re.MULTILINE)
    assert ["aclk", *(port.name for port in ports)] == declared
    for kind in (True, False):
        at = [bit for p in ports if p.input is kind for bit in range(p.at, p.at + p.bits)]
        assert at == list(range(len(at)))
    widths = {port.name: port.bits for port in ports}
    assert (widths["s_axis_weights_tdata"], widths["aresetn"], widths["m_axis_logits_tdata"]) == (64, 1, 32)


def test_verilator_has_nothing_to_say_of_the_pins(package, tmp_path):
    sources = sorted((package / "rtl").glob("*.v"))
    path = tmp_path / f"{TOP}_pins.v"
    path.write_text(pins(TOP, ports_of(TOP, (package / "rtl" / f"{TOP}.v").read_text())))
    assert lint([*sources, path], f"{TOP}_pins", find_toolchain()) == ""


def test_ports_that_are_declared_in_another_way_are_refused():
    head = "module m #(\n    parameter A = 1\n) (\n    input wire aclk,\n"
    assert ports_of("m", head + "    output reg [3:0] x\n);\n")[0].bits == 4
    with pytest.raises(InputError, match=r"m\.v: port 'inout wire x'; input or output"):
        ports_of("m", head + "    inout wire x\n);\n")
    with pytest.raises(InputError, match=r"m\.v: port 'input wire \[A-1:0\] x'"):
        ports_of("m", head + "    input wire [A-1:0] x\n);\n")
    with pytest.raises(InputError, match=r"n\.v: has no module n with its parameters"):
        ports_of("n", head + "    output reg x\n);\n")


def test_what_nextpnr_reports_is_taken_over():
    """Cells that are used, and the path within the clock's domain; not that from a pin."""
    step = {"delay": 1.0, "from": {}, "to": {}}
    report = {
        "utilization": {"TRELLIS_COMB": {"used": 7, "available": 9}, "DCCA": {"used": 0, "available": 5}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge c", "path": [step | {"type": "routing", "net": "pin"}]},
            {
                "from": "posedge c",
                "to": "posedge c",
                "path": [
                    step | {"type": "clk-to-q"},
                    step | {"type": "routing", "net": "a"},
                    step | {"type": "logic"},
                    step | {"type": "routing", "net": "carry", "delay": 0},
                    step | {"type": "routing", "net": "b"},
                ],
            },
        ],
    }
    found = _placed(61.234, report, 300)
    assert (found.fmax_mhz, found.taken, found.there) == (61.23, {"TRELLIS_COMB": 7}, {"TRELLIS_COMB": 9})
    assert found.path == ("a", "b")


def test_the_tools_own_message_is_shown(package, yosys, tmp_path):
    """Verilog that Yosys refuses: its words, the command to repeat, and no artefact."""
    left = shutil.ignore_patterns("synth", "synthesis.json")
    broken = shutil.copytree(package, tmp_path / "broken", ignore=left)
    top = broken / "rtl" / f"{TOP}.v"
    top.write_text(top.read_text().replace("wire start, clear;", "wire start, clear"))
    sign(broken, f"rtl/{TOP}.v")
    with pytest.raises(ToolError, match=f"synthesis of {TOP}: .* failed with status 1") as caught:
        synth_engine(broken)
    assert "syntax error" in caught.value.output
    assert "synth.ys" in caught.value.command
    assert not (broken / "synthesis.json").exists()
    assert not list((broken / "synth").iterdir())


def sign(folder: Path, name: str) -> None:
    """Let the manifest hold the file as it is."""
    told = json.loads((folder / "manifest.json").read_text())
    told["files"][name] = digest(folder / name)
    (folder / "manifest.json").write_text(json.dumps(told))


def test_what_cannot_be_synthesized_is_refused_in_one_line(package, tmp_path):
    """Another target, place and route where there is none, an altered file, no package, another kind."""
    status, said = command(package, "--target", "xcup")
    assert status == 2
    assert (
        "was built for ecp5, whose multipliers it shares, not for xcup; `hwnorm engine RUN --target" in said
    )
    altered = shutil.copytree(package, tmp_path / "altered")
    (altered / "rtl" / "engine_lane.v").write_text("")
    status, said = command(altered)
    assert status == 2
    assert "engine_lane.v: changed since it was written; `hwnorm engine` writes the package again" in said
    status, said = command(tmp_path)
    assert status == 2
    assert "neither a package (it has no manifest.json) nor a run folder" in said
    other = shutil.copytree(package, tmp_path / "other")
    told = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(told | {"kind": "verdict"}))
    status, said = command(other)
    assert status == 2
    assert "manifest.json: holds 'verdict'; a package was expected" in said
    large = tmp_path / "xcup"
    emit_engine(evaluate(network(8), replace(SMALLEST, device="xcup"), IMAGE), images(1)[0], large, 250.0)
    status, said = command(large, "--pnr")
    assert status == 2
    assert "target xcup: no open tool places and routes it; leave --pnr out" in said
    assert not (large / "synth").exists()
