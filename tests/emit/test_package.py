from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from sample_datapaths import every_cell

from hwnorm.datapath.ir import Certificate
from hwnorm.datapath.serial import from_json
from hwnorm.emit import emit_package
from hwnorm.errors import InputError
from hwnorm.kernel.manifest import read_manifest


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emit") / "cells"
    return folder, emit_package(every_cell(), "cells", folder, lanes=2, note="Stands in for block 3.")


def test_manifest_names_every_file_with_its_hash(package):
    """The manifest is complete, and so a damaged package can be told."""
    folder, manifest = package
    assert read_manifest(folder) == manifest
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert there == set(manifest.files)
    for name, digest in manifest.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    datapath = every_cell()
    assert manifest.latency == datapath.latency
    assert (manifest.input, manifest.output, manifest.lanes) == ("s9f5", "s24f8", 2)
    assert manifest.max_error_ulp == datapath.certificate.max_error_ulp


def test_datapath_comes_back_equal(package):
    """datapath.json holds the very datapath that was emitted."""
    assert from_json(json.loads((package[0] / "datapath.json").read_text())) == every_cell()


def test_emission_is_repeatable(package, tmp_path):
    """The same datapath gives the same bytes, in any folder."""
    again = emit_package(every_cell(), "cells", tmp_path / "other", lanes=2, note="Stands in for block 3.")
    assert again.files == package[1].files


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
    assert read_manifest(folder) == before
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


def test_the_header_states_the_certificate(package):
    """Formats, latency and certificate stand at the head of the Verilog and of the C++."""
    folder, _ = package
    for name in ("rtl/cells.v", "rtl/cells_core.v", "rtl/cells_comb.v", "hls/cells.h", "hls/cells_axis.h"):
        head = (folder / name).read_text().split("\n\n")[0]
        assert "s9f5" in head, name
        assert "ulp of the output, at input code 0;" in head, name
        assert "Stands in for block 3." in head, name


def test_a_bound_is_stated_as_a_bound(tmp_path):
    """Of a wide input neither the mean nor the worst code is known: the header claims none."""
    bound = Certificate(1.23456, None, None, 1 << 20, exhaustive=False)
    emit_package(replace(every_cell(), certificate=bound), "wide", tmp_path / "p")
    head = (tmp_path / "p" / "rtl" / "wide.v").read_text()
    assert "at most 1.2346 ulp of the output, proven for all 1048576 input codes" in head
    assert "None" not in head + (tmp_path / "p" / "README.md").read_text()


def test_the_combinational_core_has_no_clock(package):
    """TOP_comb is x, y and nothing else."""
    text = (package[0] / "rtl" / "cells_comb.v").read_text().split("endmodule")[0]
    assert re.findall(r"^ +(?:in|out)put .* (\w+),?$", text, flags=re.MULTILINE) == ["x", "y"]
    assert "posedge" not in text


def test_vectors_are_the_datapaths(package):
    """vectors.txt lists every input code with its output code."""
    datapath = every_cell()
    lines = (package[0] / "sim" / "vectors.txt").read_text().splitlines()
    pairs = np.array([line.split() for line in lines], dtype=np.int64)
    assert pairs[:, 0].tolist() == datapath.input.codes().tolist()
    assert pairs[:, 1].tolist() == datapath.evaluate(pairs[:, 0]).tolist()


def test_fusesoc_core_names_files_that_are_there(package):
    """TOP.core is CAPI2 YAML; each file in it is in the package, each target's fileset in it."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    folder, _ = package
    text = (folder / "cells.core").read_text()
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.removeprefix("CAPI=2:\n"))
    named = [file for fileset in core["filesets"].values() for file in fileset["files"]]
    for file in named:
        assert (folder / (file if isinstance(file, str) else next(iter(file)))).is_file(), file
    for target in core["targets"].values():
        assert set(target["filesets"]) <= set(core["filesets"])
        assert set(target.get("parameters", [])) <= set(core["parameters"])
    assert core["targets"]["sim"]["toplevel"] == "cells_tb"
    assert "if (faults != 0) $fatal(1);" in (folder / "sim" / "cells_tb.v").read_text()
