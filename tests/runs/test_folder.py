"""The run folder: whose it is, what --force removes, and what counts as up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_folders import begun, put_alone

import hwnorm.runs.folder
from hwnorm.errors import InputError
from hwnorm.files import write_artefact
from hwnorm.realign.realigned import Realigned
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.markers import Emitted, SearchStates
from hwnorm.runs.products import FRONT, PACKAGES, PROFILE, REALIGNED, REPORT, SEARCH
from hwnorm.runs.settings import RunSettings
from hwnorm.version import library_versions


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that has begun, with an artefact of every stage and a file of the user's."""
    made = RunFolder.create(tmp_path / "r", RunSettings(), force=False)
    made.start()
    for name in (
        "profiles/a.json",
        "fronts/a.json",
        "packages/top/manifest.json",
        "report/a.png",
        "choices.json",
        "choice.json",
        "realign.json",
        "realigned.safetensors",
        "verdict.json",
        "compare.json",
        "report.html",
        "search/a.json",
        "packages/.made_from",
        "report/.made_from",
        "notes.txt",
        "mine/data.csv",
        "packages/mine/notes.txt",
        "report/notes.txt",
    ):
        path = made.path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(name)
    return made


def test_what_a_stage_was_given_is_the_runs_before_there_is_a_result(tmp_path):
    """A stop behind it, and the command that made the run does not replace the result by its own."""
    run = begun(tmp_path / "r")
    run.change_settings(finetune="D", epochs=2)
    assert RunFolder.open(run.path).settings.finetune == "none"  # a stage that fails leaves it as it was
    put_alone(run, PACKAGES, Emitted(tops=(), seal=""))
    assert RunFolder.open(run.path).settings.finetune == "none"  # packages do not depend on it
    put_alone(run, REALIGNED, Realigned.model_construct())
    assert RunFolder.open(run.path).settings.finetune == "D"
    with pytest.raises(
        InputError, match=r"holds a run with finetune D; none was .* give --finetune D to go on"
    ):
        RunFolder.create(run.path, RunSettings(), force=False)
    with pytest.raises(
        InputError, match=r"with no_dsp False; True was asked for: leave --no-dsp out, choose"
    ):
        RunFolder.create(run.path, RunSettings(no_dsp=True), force=False)
    with pytest.raises(InputError, match=r"with max_lut None; 4 was asked for: leave --max-lut out, choose"):
        RunFolder.create(run.path, RunSettings(max_lut=4), force=False)


def test_nothing_is_written_before_the_start(tmp_path):
    """Until the inputs have proved good there is no folder; start writes run.json, once."""
    run = RunFolder.create(tmp_path / "r", RunSettings(seed=4), force=False)
    assert not run.started
    assert not run.path.exists()
    run.start()
    assert RunFolder.open(run.path).settings == RunSettings(seed=4)
    before = (run.path / "run.json").stat().st_mtime_ns
    run.start()
    assert (run.path / "run.json").stat().st_mtime_ns == before


def test_a_foreign_folder_is_refused_and_untouched(tmp_path):
    """A non-empty folder without run.json is somebody's; an empty one is free."""
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="not empty and no run folder"):
        RunFolder.create(tmp_path, RunSettings(), force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty", RunSettings(), force=False).start()


def test_force_in_a_foreign_folder_removes_nothing(tmp_path):
    """--force adds a run to a folder that never was one; even a `report` there is not ours."""
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine.txt").write_text("years")
    RunFolder.create(tmp_path, RunSettings(), force=True).start()
    assert (tmp_path / "report" / "mine.txt").read_text() == "years"


@pytest.mark.parametrize(
    ("name", "value"), [("seed", 5), ("population", 16), ("clock_mhz", 300.0), ("model", "vit")]
)
def test_other_settings_are_refused_by_name(run, name, value):
    """The setting, what the run was made with and what was asked for; nothing is touched."""
    before = contents(run.path)
    found = getattr(RunSettings(), name)
    with pytest.raises(InputError, match=rf"{name} {found}; {value} was asked for.*--force"):
        RunFolder.create(run.path, RunSettings(**{name: value}), force=False)
    assert contents(run.path) == before


def test_the_same_settings_go_on(run):
    """A run of equal settings has started; starting it again changes nothing."""
    before = contents(run.path)
    again = RunFolder.create(run.path, RunSettings(), force=False)
    assert again.started
    again.start()
    assert contents(run.path) == before


def test_force_removes_the_stages_artefacts_and_nothing_else(run):
    """At the start, not before: the user's own files stay, run.json holds the new settings."""
    before = contents(run.path)
    again = RunFolder.create(run.path, RunSettings(seed=5), force=True)
    assert contents(run.path) == before
    again.start()
    left = {str(path.relative_to(run.path)) for path in contents(run.path)}
    mine = {"notes.txt", "mine/data.csv", "packages/mine/notes.txt", "report/notes.txt"}
    assert left == {"run.json"} | mine
    assert RunFolder.open(run.path).settings.seed == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99, "hwnorm_version": "9.9"}, "schema 99 by hwnorm 9.9"),
        ({"kind": "front"}, "holds 'front'; a run was expected"),
        ({"settings": None}, "settings: "),
        ({"settings": {"seed": "three"}}, "settings.seed: "),
        ({"settings": {"colour": "red"}}, "settings.colour: "),
    ],
)
def test_damaged_or_foreign_run_json_is_named(run, change, message):
    """Another schema, kind or field: one line with the file, from open and from create."""
    path = run.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for attempt in (RunFolder.open, lambda at: RunFolder.create(at, RunSettings(), force=False)):
        with pytest.raises(InputError) as caught:
            attempt(run.path)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\x00"])
def test_run_json_that_is_no_json_object(run, text):
    """Cut short or not JSON at all: one line with the file."""
    (run.path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json: ") as caught:
        RunFolder.open(run.path)
    assert "\n" not in str(caught.value)


def test_current_means_same_origin_and_version(run):
    """Of the same inputs by this version; missing, of other inputs or of another version is not."""
    path = run.at(PACKAGES)
    path.unlink()
    assert not run.is_current(PACKAGES, {"choice": "abc"})
    run.write(PACKAGES, Emitted(tops=(), seal=""), {"choice": "abc"})
    assert run.is_current(PACKAGES, {"choice": "abc"})
    assert not run.is_current(PACKAGES, {"choice": "abd"})
    assert not run.is_current(PACKAGES, {"choice": "abc", "target": "x"})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hwnorm_version": "0.0"}))
    assert not run.is_current(PACKAGES, {"choice": "abc"})


def test_layers_come_in_the_order_of_execution(run):
    """By position, not by name; a folder without layers names the stage that fills it."""
    for product in (PROFILE, FRONT):
        run.at(product, "a").unlink()
        with pytest.raises(InputError, match=f"run `hwnorm {product.stage} {run.path}` first"):
            run.layers(product)
    for position, layer in enumerate(("z", "b", "m")):
        write_artefact(run.at(PROFILE, layer), "profile", 0, {}, {"layer": layer, "position": position})
    assert run.layers(PROFILE) == ["z", "b", "m"]


def test_a_state_of_a_search_is_read_by_its_type(run):
    """A damaged one is one line with the file and the command."""
    run.write(SEARCH, SearchStates(states=(None, {"generation": 2})), {}, "a")
    data = json.loads(run.at(SEARCH, "a").read_text())
    run.at(SEARCH, "a").write_text(json.dumps(data | {"states": 3}))
    with pytest.raises(InputError, match=r"a\.json: ") as caught:
        run.read(SEARCH, "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(library_versions()))
def test_versions_of_libraries_count(run, monkeypatch, name):
    """Whatever is made anew under another one is made of something else; so it is with hwnorm's own code."""
    before = run.made_from(REPORT, None)
    versions = library_versions() | {name: "0.0"}
    monkeypatch.setattr(hwnorm.runs.folder, "library_versions", lambda: versions)
    assert run.made_from(REPORT, None) != before
    monkeypatch.undo()
    monkeypatch.setattr(hwnorm.runs.folder, "code_digest", lambda: "another")
    assert run.made_from(REPORT, None) != before
