"""An engine's package in other hands: make, FuseSoC, and the scripts for Vivado, which are read alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_engines import IMAGE, images, network, program

from hwnorm.engine.engine import Engine
from hwnorm.engine.handover import handover
from hwnorm.engine.package import emit_engine, read_engine
from hwnorm.engine.program import compile_program
from hwnorm.engine.registers import description_file, read
from hwnorm.engine.space import Candidate
from hwnorm.verify.toolchain import find_toolchain

PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
FUSESOC = shutil.which("fusesoc", path=PLACES)
needs_fusesoc = pytest.mark.skipif(FUSESOC is None, reason="FuseSoC is not installed")
IMAGES = 2


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """Of a small engine, and of two images."""
    folder = tmp_path_factory.mktemp("handover") / "engine"
    # The smallest one: to compile it is what takes time.
    made = compile_program(network(8), Engine(tokens=1, columns=1, depth=1, beat=64), IMAGE)
    emit_engine(Candidate(made), images(IMAGES)[0], folder, 250.0)
    return folder


@pytest.fixture(scope="module")
def built(package) -> tuple[Path, str]:
    """The package behind ``make -C sim``, and what that said."""
    done = make(package)
    assert done.returncode == 0, done.stdout + done.stderr
    return package, done.stdout


@pytest.fixture
def copy(built, tmp_path) -> Path:
    """To be broken; it is built already."""
    return Path(shutil.copytree(built[0], tmp_path / "engine"))


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = find_toolchain().environment
    command = ["make", "--no-print-directory", "-C", str(folder / "sim"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


# --- make -C sim ---------------------------------------------------------------------------------------


def test_make_runs_every_image_by_its_registers(built):
    assert built[1].splitlines()[-1].startswith("PASS: 2 images: logits and counters, and logits with random")


def test_make_builds_nothing_twice_for_the_same_sources(copy):
    """And it is not the time of a file that decides."""
    model = copy / "sim" / "made" / "Vhwnorm_engine"
    model.write_text("#!/bin/sh\necho PASS: not built\n")
    os.utime(copy / "rtl" / "engine.v")
    assert make(copy).stdout == "PASS: not built\n"


def _lines(change):
    """Change the lines of the images that are expected."""

    def apply(folder: Path) -> None:
        path = folder / "program" / "expected.txt"
        path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))

    return apply


def _number(at: int):
    """Another number at a place of the second image."""

    def change(lines: list[str]) -> list[str]:
        numbers = [int(part) for part in lines[1].split()]
        numbers[at] += 1
        return [lines[0], " ".join(map(str, numbers))]

    return _lines(change)


def _bytes(name: str, change):
    def apply(folder: Path) -> None:
        path = folder / "program" / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def _remove(name: str):
    def apply(folder: Path) -> None:
        (folder / name).unlink()

    return apply


#: What is broken, how, and what is said of it.
BREAKS = {
    "a logit": (_number(-1), "image 1, logit 4:"),
    "cycles": (_number(0), "image 1, cycles:"),
    "busy cycles": (_number(1), "image 1, busy cycles:"),
    "stalled cycles": (_number(2), "image 1, stalled cycles:"),
    "nothing is expected": (_lines(lambda lines: []), "expected.txt: 0 images, not 2"),
    "an image less": (_lines(lambda lines: lines[:1]), "expected.txt: 1 images, not 2"),
    "an image more": (_lines(lambda lines: lines * 2), "expected.txt: 4 images, not 2"),
    "a logit less": (_lines(lambda lines: [lines[0], lines[1][:-4]]), "expected.txt, line 2: not 8 numbers"),
    "words": (_lines(lambda lines: [lines[0], lines[1] + " x"]), "expected.txt, line 2: not 8 numbers"),
    "no expectation": (_remove("program/expected.txt"), "expected.txt"),
    "no images": (_bytes("images.bin", lambda data: b""), "images.bin: 0 bytes, not 128"),
    "half of the images": (_bytes("images.bin", lambda data: data[:64]), "images.bin: 64 bytes, not 128"),
    "another image": (_bytes("images.bin", lambda data: data[64:] + data[:64]), "image 0, logit 0:"),
    "images that are gone": (_remove("program/images.bin"), "images.bin"),
    "half of the weights": (_bytes("weights.bin", lambda data: data[: len(data) // 2]), "weights.bin: "),
    "another weight": (_bytes("weights.bin", lambda data: data[:9] + b"\x55" + data[10:]), "image 0, logit"),
    "a tile that is not the next": (_bytes("weights.bin", lambda data: b"\x01" + data[1:]), "FAIL"),
    "no program": (_remove("program/program.mem"), "program.mem"),
    "an empty program": (_bytes("program.mem", lambda data: b""), "program.mem: is empty"),
    "a Verilog file that is gone": (_remove("rtl/engine_lane.v"), "engine_lane.v"),
    "a bench that is gone": (_remove("sim/hwnorm_engine_tb.cpp"), "hwnorm_engine_tb.cpp"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_make_does_not_pass_wrongly(copy, name):
    change, message = BREAKS[name]
    change(copy)
    done = make(copy)
    assert done.returncode != 0, done.stdout
    assert message in done.stdout + done.stderr
    assert "PASS" not in done.stdout


def test_a_change_of_the_verilog_is_built_whatever_its_time(copy):
    """An older file than what was built, too."""
    path = copy / "rtl" / "engine_lane.v"
    path.write_text(path.read_text().replace("s_sum + s_bias;", "s_sum;"))
    os.utime(path, (0, 0))
    done = make(copy, "VERILATOR=false")
    assert done.returncode != 0
    assert "PASS" not in done.stdout
    assert not (copy / "sim" / "made" / "Vhwnorm_engine").exists()


@pytest.mark.slow
def test_a_fault_of_the_verilog_is_found(copy):
    path = copy / "rtl" / "engine_lane.v"
    text = path.read_text()
    assert text.count("s_sum + s_bias;") == 1
    path.write_text(text.replace("s_sum + s_bias;", "s_sum;"))
    done = make(copy)
    assert done.returncode != 0
    assert "FAIL: image 0, logit 0:" in done.stdout


@pytest.mark.parametrize("verilator", ["no-such-verilator", "true", "false"])
def test_without_verilator_nothing_passes(copy, verilator):
    """Not there, or a program that makes nothing."""
    (copy / "sim" / "made" / "built.sum").unlink()
    done = make(copy, f"VERILATOR={verilator}")
    assert done.returncode != 0
    assert "PASS" not in done.stdout


# --- FuseSoC -------------------------------------------------------------------------------------------


def test_the_core_names_every_file(package):
    """Verilog, memories and vectors are all of the package's; each target's filesets are there."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = (package / "hwnorm_engine.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.removeprefix("CAPI=2:\n"))
    named = {
        name: {file if isinstance(file, str) else next(iter(file)) for file in fileset["files"]}
        for name, fileset in core["filesets"].items()
    }
    there = set(read_engine(package).files)
    assert named["rtl"] == {name for name in there if name.startswith("rtl/")}
    assert named["program"] == {name for name in there if name.endswith(".mem")}
    assert named["program"] | named["tb"] >= {name for name in there if name.startswith("program/")}
    assert named["tb"] <= there
    assert set(core["targets"]) == {"default", "lint", "sim", "synth"}
    for target in core["targets"].values():
        assert target["toplevel"] == "hwnorm_engine"
        assert set(target["filesets"]) <= set(core["filesets"])


def fusesoc(folder: Path, target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A target of the package, built beside it."""
    assert FUSESOC is not None
    command = [FUSESOC, "--cores-root", str(folder), "run", "--target", target, *options]
    command += ["--build-root", str(folder / "build"), "hwnorm:engines:hwnorm_engine"]
    toolchain = find_toolchain()
    environment = toolchain.environment | {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@needs_fusesoc
def test_fusesoc_simulates_and_fails_on_a_difference(package, tmp_path):
    """The same checks as those of make; what is missing fails."""
    folder = Path(shutil.copytree(package, tmp_path / "engine", ignore=shutil.ignore_patterns("made")))
    done = fusesoc(folder, "sim")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: 2 images" in done.stdout + done.stderr
    for name in ("a logit", "nothing is expected", "no images"):
        change, message = BREAKS[name]
        kept = shutil.copytree(folder / "program", tmp_path / "kept", dirs_exist_ok=True)
        change(folder)
        # The model is there: only the vectors are put in place anew.
        done = fusesoc(folder, "sim")
        assert done.returncode != 0, name
        assert message in done.stdout + done.stderr
        shutil.copytree(kept, folder / "program", dirs_exist_ok=True)
    for name in ("rtl/engine_lane.v", "program/expected.txt"):
        (folder / name).rename(tmp_path / "away")
        done = fusesoc(folder, "sim")
        assert done.returncode != 0, name
        assert Path(name).name in done.stdout + done.stderr
        (tmp_path / "away").rename(folder / name)


@needs_fusesoc
def test_fusesoc_lints_and_sets_up_synthesis(package, tmp_path):
    folder = Path(shutil.copytree(package, tmp_path / "engine", ignore=shutil.ignore_patterns("made")))
    done = fusesoc(folder, "lint")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "%Warning" not in said
    path = folder / "rtl" / "engine_lane.v"
    path.write_text(path.read_text().replace("endmodule", "wire nobody_reads = aclk;\nendmodule"))
    assert fusesoc(folder, "lint").returncode != 0
    done = fusesoc(folder, "synth", "--setup")
    assert done.returncode == 0, done.stdout + done.stderr
    scripts = [path.read_text() for path in folder.glob("build/**/edalize_yosys_*.tcl")]
    assert any("synth_xilinx" in text for text in scripts)
    assert any("-family xcup" in text for text in scripts)


def test_an_engine_of_another_device_has_no_vivado():
    made = program("ecp5")
    files = handover(made, ["hwnorm_engine.v"], ["program.mem"], 100, 50.0)
    assert set(files) == {"hwnorm_engine.core"}
    assert "arch: ecp5" in files["hwnorm_engine.core"]


# --- Vivado --------------------------------------------------------------------------------------------


@pytest.fixture
def plain(package, tmp_path) -> Path:
    """A copy of the package without anything that was built."""
    return Path(shutil.copytree(package, tmp_path / "engine", ignore=shutil.ignore_patterns("made")))


def vivado(folder: Path, *scripts: str, **options):
    """The scripts of a package, run in a model of Vivado."""
    pytest.importorskip("tkinter", reason="Tcl is not installed")
    from vivado_model import Vivado

    found = Vivado(folder, **options)
    for script in scripts:
        found.source(script)
    return found


def refused(folder: Path, script: str, *before: str, **options) -> str:
    """Why a script ends, as Tcl and the model say it."""
    found = vivado(folder, *before, **options)
    import tkinter

    with pytest.raises((tkinter.TclError, AssertionError, KeyError)) as raised:
        found.source(script)
    return f"{raised.value} {found.fault}"


@pytest.mark.parametrize("infers", [True, False])
def test_the_ip_has_every_file_interface_and_register(plain, infers):
    """Whether Vivado infers interfaces while it packages, or has to be told."""
    found = vivado(plain, "package_ip.tcl", infers=infers)
    there = {f"rtl/{path.name}" for path in (plain / "rtl").iterdir()}
    there |= {f"program/{path.name}" for path in (plain / "program").glob("*.mem")}
    assert sorted(found.files) == sorted(there)
    assert found.properties["fileset", "top"] == "hwnorm_engine"
    assert found.interfaces == {
        "s_axi": ("aximm", "slave"),
        "s_axis_weights": ("axis", "slave"),
        "s_axis_image": ("axis", "slave"),
        "m_axis_logits": ("axis", "master"),
    }
    assert found.interfaces == found.ports.interfaces()
    assert found.ports.single == {"aclk", "aresetn"}
    assert found.clocked == dict.fromkeys(found.interfaces, "aclk") | {"reset": "aclkaresetn"}
    assert found.maps == ["s_axi"]
    assert found.properties["interface:s_axi", "slave_memory_map_ref"] == "s_axi"
    registers = read(description_file()).registers
    assert list(found.registers) == [register.name for register in registers]
    for register in registers:
        told = found.properties
        assert int(told[f"register:{register.name}", "address_offset"]) == register.offset
        assert list(found.registers[register.name]) == [field.name for field in register.fields]
        for field in register.fields:
            made = found.registers[register.name][field.name]
            assert int(told[made, "bit_offset"]) == field.low
            assert int(told[made, "bit_width"]) == field.width
            assert told[made, "access"] == ("write-only" if register.written else "read-only")
            assert told[made, "description"] == field.description
    assert found.saved


@pytest.mark.parametrize("name", ["rtl/engine_core.v", "program/table.mem"])
def test_an_ip_without_a_file_is_not_packaged(plain, name):
    (plain / name).unlink()
    assert f"{name}: not there; the package is not whole" in refused(plain, "package_ip.tcl")


@pytest.mark.parametrize("port", ["s_axis_image_tvalid", "s_axi_wstrb", "m_axis_logits_tlast"])
def test_an_ip_with_another_port_is_not_packaged(plain, port):
    path = plain / "rtl" / "hwnorm_engine.v"
    path.write_text(path.read_text().replace(port, f"{port}_now"))
    assert port in refused(plain, "package_ip.tcl")


def test_the_board_s_design_is_whole(plain):
    """Every pin is connected, streams are as wide at both ends, the address is the driver's."""
    found = vivado(plain, "package_ip.tcl", "zcu102.tcl")
    version = found.properties["core", "version"]
    assert found.cells["engine"].settings["version"] == version
    assert found.properties["project", "board_part"].endswith(":3.4")
    assert found.properties["ps", "CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == "250"
    assert {source for pin, source in found.nets.items() if pin.endswith("aclk")} == {"ps/pl_clk0"}
    assert set(found.addresses) >= {"engine/s_axi/registers"}
    begin, size = found.addresses["engine/s_axi/registers"]
    assert f"Engine.at(0x{begin:X})" in (plain / "driver" / "hwnorm_engine.py").read_text()
    assert size >= read(description_file()).size
    order = [call[0] for call in found.calls]
    for first, then in (("validate_bd_design", "launch_runs"), ("open_run", "report_utilization")):
        assert order.index(first) < order.index(then)
    for report in ("report_utilization", "report_timing_summary", "write_hw_platform"):
        assert len(found.called(report)) == 1
    assert any("worst slack at 250 MHz: 0.1 ns" in call[0] for call in found.called("said"))


def test_a_stream_that_no_dma_has_is_widened(plain):
    """A beat of 192 bits."""
    made = compile_program(network(8), Engine(tokens=1, columns=1, depth=1, beat=192), IMAGE)
    names = [path.name for path in (plain / "rtl").iterdir()]
    for name, text in handover(made, names, ["program.mem", "table.mem"], 1000, 300.0).items():
        (plain / name).write_text(text)
    top = plain / "rtl" / "hwnorm_engine.v"
    text, count = re.subn(r"\[63:0\] s_axis_weights_tdata", "[191:0] s_axis_weights_tdata", top.read_text())
    assert count == 1
    top.write_text(text)
    found = vivado(plain, "package_ip.tcl", "zcu102.tcl")
    assert found.nets["engine/s_axis_weights"] == "widen/M_AXIS"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boards": ""}, "no board files of the ZCU102"),
        ({"progress": "50%"}, "no bitstream: status"),
        ({"slack": "-0.2"}, "the clock of 250 MHz is not met"),
    ],
)
def test_what_the_board_s_script_ends_at(plain, options, message):
    assert message in refused(plain, "zcu102.tcl", "package_ip.tcl", **options)


def test_the_board_s_script_needs_the_ip(plain):
    assert "no IP there; run package_ip.tcl first" in refused(plain, "zcu102.tcl")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    engine/m_axis_logits    dma_images/S_AXIS_S2MM\n", "", "engine/m_axis_logits is not connected"),
        (" ps/saxihp1_fpd_aclk", "", "ps/saxihp1_fpd_aclk is not connected"),
        ("engine/s_axis_image", "engine/s_axis_images", "engine/s_axis_images: there are"),
        ("tdata_width 64", "tdata_width 128", "dma_weights/M_AXIS_MM2S has 128 bits"),
        ("0xA0010000", "0xA0000000", "overlaps engine/s_axi/registers"),
        ("wait_on_run", "wait_for_run", "wait_for_run"),
    ],
)
def test_a_wrong_design_is_found(plain, old, new, message):
    path = plain / "vivado" / "zcu102.tcl"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    assert message in refused(plain, "zcu102.tcl", "package_ip.tcl")
