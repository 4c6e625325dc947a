"""What a package says of itself is validated when it is read, and its files are held to it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small_packages import change, offset_kernel, sign

from hwnorm.cli import app
from hwnorm.emit import emit_package
from hwnorm.emit.folded import emit_folded
from hwnorm.errors import InputError
from hwnorm.files import write_artefact
from hwnorm.kernel.manifest import FoldedManifest, read_manifest
from hwnorm.kernel.package import load_package
from hwnorm.synth.package import read_synthesis
from hwnorm.verify.verdict import Verdict


@pytest.fixture(scope="module")
def emitted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manifest") / "kernel"
    emit_package(offset_kernel(), "kernel", folder)
    return folder


@pytest.fixture
def package(emitted, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(emitted, tmp_path / "kernel"))


def edit(package: Path, **changes: object) -> None:
    """Change fields of the manifest; one that becomes ... goes."""
    path = package / "manifest.json"
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in data.items() if value is not ...}))


MALFORMED = [
    ({"latency": ...}, "latency: missing"),
    ({"tkeep": ...}, "tkeep: missing; `hwnorm compile .*` writes the package anew"),
    ({"latency": "two"}, r"latency: .* \(found \"two\"\)"),
    ({"lanes": 0}, r"lanes: .*greater than or equal to 1"),
    ({"top": "../victim"}, r"top: "),
    ({"input": "float"}, r"input: "),
    ({"files": ["rtl/kernel.v"]}, r"files: "),
    ({"rtl": ["/etc/passwd"]}, r"rtl\.0: '/etc/passwd' is not the relative name of a file inside"),
    ({"rtl": ["../kernel.v"]}, r"rtl\.0: '\.\./kernel\.v' is not the relative name"),
    ({"rtl": ["rtl/../../k.v"]}, r"rtl\.0: "),
    ({"rtl": ["rtl/none.v"]}, r"files: rtl/none\.v is not among them"),
    ({"files": {"../x": "0" * 64}}, r"files\."),
    ({"max_error_ulp": float("nan")}, r"max_error_ulp: "),
    ({"clock_mhz": -1}, r"clock_mhz: "),
    ({"colour": "blue"}, r"colour: "),
    ({"folded": True}, r"(gain: missing|kernel: )"),
]


@pytest.mark.parametrize(("changes", "message"), MALFORMED)
def test_a_malformed_manifest_is_one_line_that_names_the_field(package, changes, message):
    edit(package, **changes)
    with pytest.raises(InputError, match=rf"^{package}/manifest\.json: {message}") as caught:
        load_package(package)
    assert "\n" not in str(caught.value)


def test_fields_that_contradict_the_datapath_are_refused(package):
    edit(package, latency=3)
    with pytest.raises(InputError, match=r"manifest\.json: latency: 3; datapath\.json says 2"):
        load_package(package)
    edit(package, latency=2, tkeep=False)
    with pytest.raises(InputError, match=r"manifest\.json: tkeep: False; datapath\.json says True"):
        load_package(package)


def test_a_malformed_datapath_is_one_line_that_names_file_and_field(package):
    change(package / "datapath.json", '"latency": 2', '"latency": 0')
    sign(package)
    with pytest.raises(InputError, match=rf"^{package}/datapath\.json: latency: 0; a kernel's result"):
        load_package(package)
    (package / "datapath.json").write_text("{")
    sign(package)
    with pytest.raises(InputError, match=rf"^{package}/datapath\.json: Expecting"):
        load_package(package)


def test_a_package_of_a_run_names_the_run(package, tmp_path):
    """The command that writes it anew is the run's."""
    run = tmp_path / "run"
    (run / "packages").mkdir(parents=True)
    (run / "run.json").touch()
    package.rename(run / "packages" / "kernel")
    (run / "packages" / "kernel" / "README.md").write_text("mine")
    with pytest.raises(InputError, match=rf"`hwnorm emit {run}` writes the package anew"):
        load_package(run / "packages" / "kernel")


def test_a_folded_layer_has_a_manifest_and_no_kernel(tmp_path):
    emit_folded("0.5*x + 1", "line", tmp_path / "line")
    manifest = read_manifest(tmp_path / "line")
    assert isinstance(manifest, FoldedManifest)
    assert (manifest.gain, manifest.offset) == (0.5, 1.0)
    with pytest.raises(InputError, match="folds into the next linear layers"):
        load_package(tmp_path / "line")


@pytest.mark.parametrize("command", [("verify",), ("synth", "--target", "ecp5")])
def test_commands_refuse_an_edited_package_in_one_line(package, command, capsys):
    change(package / "rtl" / "kernel_core.v", "endmodule", "// mine\nendmodule")
    with pytest.raises(SystemExit) as caught:
        app([*command, str(package)], standalone_mode=False)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "kernel_core.v: is not the file that was emitted" in said.replace("\n", " ")


@pytest.mark.parametrize(
    ("read", "file", "kind", "body", "message"),
    [
        (
            lambda folder: Verdict.read(folder / "verdict.json"),
            "verdict.json",
            "verdict",
            {"top": "k"},
            "codes: missing",
        ),
        (read_synthesis, "synthesis.json", "synthesis", {"top": "k", "targets": 3}, "targets: "),
        (
            read_synthesis,
            "synthesis.json",
            "synthesis",
            {"top": "k", "targets": {"x": {}}},
            r"targets\.x\.top: m",
        ),
    ],
)
def test_other_artefacts_of_a_package_are_validated_too(tmp_path, read, file, kind, body, message):
    write_artefact(tmp_path / file, kind, None, {}, body)
    with pytest.raises(InputError, match=rf"^{tmp_path / file}: {message}"):
        read(tmp_path)
