"""``hwnorm emit`` on a choice that somebody changed: names from files are names, never paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_folders import begun, choice_of, profile_artefact, put, put_alone, some_profile, straight
from small_packages import offset_kernel
from typer.testing import CliRunner

from hwnorm.cli import app
from hwnorm.emit.folded import emit_folded
from hwnorm.errors import InputError
from hwnorm.runs.products import CHOICE, PACKAGES, PROFILE
from hwnorm.stages.emit import emit


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a choice of two layers that fold, beside a folder that is not the run's."""
    made = begun(tmp_path / "runs" / "mine")
    for position, name in enumerate(("a", "b")):
        put(made, PROFILE, profile_artefact(some_profile(), name, position), name)
    put_alone(made, CHOICE, choice_of(straight("a"), straight("b")))
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.tex").write_text("years")
    return made.path


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_folds_gets_a_manifest(run):
    """The choice as it was chosen: two packages, and nothing else is touched."""
    result = CliRunner().invoke(app, ["emit", str(run)])
    assert result.exit_code == 0, result.output
    for name in ("a", "b"):
        assert json.loads((run / "packages" / f"hwnorm_{name}" / "manifest.json").read_text())["folded"]
    assert (run.parent.parent / "victim" / "thesis.tex").read_text() == "years"


@pytest.mark.parametrize(
    "change",
    [
        {"top": "../../victim"},
        {"top": "../../../victim"},
        {"top": "."},
        {"top": ".."},
        {"top": ""},
        {"top": "/tmp/victim"},
        {"top": ["a"]},
        {"top": "hwnorm_b"},
        {"top": "HWNORM_B"},
        {"top": "module"},
        {"layer": "../../victim/thesis"},
        {"layer": "b"},
        {"layer": "a\n`include"},
        {"layer": None},
        {"expression": "tanh(x)"},
    ],
)
def test_a_choice_with_a_path_for_a_name_is_refused(run, change):
    """One line that names the file, exit code 2, and every file on the disk as it was."""
    path = run / "choice.json"
    data = json.loads(path.read_text())
    data["layers"][0] |= change
    path.write_text(json.dumps(data))
    before = files(run.parent.parent)
    result = CliRunner().invoke(app, ["emit", str(run)])
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert str(path) in line or "expression" in change
    assert files(run.parent.parent) == before


@pytest.mark.parametrize("top", ["../victim", "..", "", "module"])
def test_a_folded_package_is_guarded_itself(tmp_path, top):
    """Whoever calls it: nothing is removed for a name that is none."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="not a name for a Verilog module"):
        emit_folded("0.5*x", top, tmp_path / "packages" / top)
    assert [path.name for path in tmp_path.rglob("*")] == ["victim", "thesis.tex"]


@pytest.mark.parametrize("layer", ["../../victim", "b", "", None])
def test_a_layer_is_that_of_its_file(run, layer):
    """Profiles and fronts are files of the layer that they are called by."""
    path = run / "profiles" / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layer": layer}))
    before = files(run.parent.parent)
    result = CliRunner().invoke(app, ["search", str(run)])
    assert result.exit_code == 2, (result.output, result.exception)
    (line,) = result.stderr.splitlines()
    assert f"{path}: layer: " in line
    assert repr(layer) in line or layer is None
    assert files(run.parent.parent) == before


def test_an_edited_package_is_written_anew(tmp_path):
    """``hwnorm emit RUN`` renews what ``hwnorm verify`` refuses; what is whole is left alone."""
    run = begun(tmp_path / "r", target="ecp5", clock_mhz=80.0)
    for position, layer in enumerate(("norm", "line")):
        put(run, PROFILE, profile_artefact(some_profile(), layer, position), layer)
    kernel = {"expression": "x + 0.25", "datapath": offset_kernel()}
    put_alone(run, CHOICE, choice_of(straight("norm").model_copy(update=kernel), straight("line")))
    emit(run)
    core = run.package("hwnorm_norm") / "rtl" / "hwnorm_norm_core.v"
    before, made = core.read_text(), core.stat().st_mtime_ns
    emit(run)
    assert core.stat().st_mtime_ns == made
    core.write_text(before + "// mine\n")
    assert "packages/* changed since it was written" in str(run.stale(PACKAGES))
    emit(run)
    assert core.read_text() == before
    assert run.stale(PACKAGES) is None
