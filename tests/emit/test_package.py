from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest
from sample_datapaths import every_cell

from hwnorm.datapath.serial import from_json
from hwnorm.emit import emit_package
from hwnorm.errors import InputError


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emit") / "cells"
    return folder, emit_package(every_cell(), "cells", folder, lanes=2, note="Stands in for block 3.")


def icarus(folder):
    """Run the package's own testbench in Icarus."""
    command = ["make", "-C", folder / "sim", "icarus"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_manifest_names_every_file_with_its_hash(package):
    """The manifest is complete, and so a damaged package can be told."""
    folder, manifest = package
    assert manifest == json.loads((folder / "manifest.json").read_text())
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert there == set(manifest["files"])
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    datapath = every_cell()
    assert manifest["latency"] == datapath.latency
    assert (manifest["input"], manifest["output"], manifest["lanes"]) == ("s9f5", "s24f8", 2)


def test_datapath_comes_back_equal(package):
    """datapath.json holds the very datapath that was emitted."""
    assert from_json(json.loads((package[0] / "datapath.json").read_text())) == every_cell()


def test_emission_is_repeatable(package, tmp_path):
    """The same datapath gives the same bytes, in any folder."""
    again = emit_package(every_cell(), "cells", tmp_path / "other", lanes=2, note="Stands in for block 3.")
    assert again["files"] == package[1]["files"]


def test_replaces_a_package_and_leaves_nothing_beside_it(tmp_path):
    """A package that was there goes as a whole, stray files too."""
    folder = tmp_path / "p"
    emit_package(every_cell(), "one", folder)
    (folder / "stray").touch()
    emit_package(every_cell(), "two", folder)
    assert not (folder / "stray").exists()
    assert not (folder / "rtl" / "one.v").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    """Emission that breaks off changes nothing and leaves no half-written folder."""
    folder = tmp_path / "p"
    before = emit_package(every_cell(), "one", folder)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("hwnorm.emit.package._manifest", broken)
    with pytest.raises(OSError, match="disk full"):
        emit_package(every_cell(), "two", folder)
    assert json.loads((folder / "manifest.json").read_text()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize(
    ("top", "lanes", "message"),
    [("module", 1, "not a name"), ("1st", 1, "not a name"), ("a-b", 1, "not a name"), ("good", 0, "lanes 0")],
)
def test_bad_arguments_are_refused(tmp_path, top, lanes, message):
    """A name that Verilog or C++ cannot have, or no lanes: one line, nothing written."""
    with pytest.raises(InputError, match=message):
        emit_package(every_cell(), top, tmp_path / "p", lanes=lanes)
    assert list(tmp_path.iterdir()) == []


def test_every_line_says_what_it_computes(package):
    """Each signal of the core carries the part of the expression and its format in a comment."""
    text = (package[0] / "rtl" / "cells_core.v").read_text()
    declarations = [
        line for line in text.splitlines() if line.lstrip().startswith(("wire signed", "reg signed"))
    ]
    assert len(declarations) > 40
    assert all("//" in line or line.endswith("]") for line in declarations)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_reads_it_and_agrees(package, tmp_path):
    """A second Verilog-2005 reader: the package's own testbench passes over every code in Icarus."""
    folder = shutil.copytree(package[0], tmp_path / "cells")
    done = subprocess.run(
        ["make", "-C", folder / "sim", "icarus"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: cells, 512 codes" in done.stdout
    assert "warning" not in done.stderr


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_the_testbench_of_a_package_finds_a_fault(package, tmp_path):
    """The self-checking testbench fails when one expected result is changed."""
    folder = shutil.copytree(package[0], tmp_path / "cells")
    golden = folder / "sim" / "golden.hex"
    lines = golden.read_text().splitlines()
    lines[7] = f"{int(lines[7], 16) ^ 1:06x}"
    golden.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["make", "-C", folder / "sim", "icarus"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "input 00000007" in done.stdout


def test_golden_results_are_the_datapaths(package):
    """golden.hex lists the result of code 0, 1, ... read as unsigned bits."""
    datapath = every_cell()
    words = [int(word, 16) for word in (package[0] / "sim" / "golden.hex").read_text().split()]
    codes = np.roll(datapath.input.codes(), datapath.input.max_code + 1)
    assert words == (datapath.evaluate(codes) & ((1 << datapath.output.width) - 1)).tolist()
