"""The run folder: whose it is, what --force removes, and what counts as up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwnorm.errors import InputError
from hwnorm.run.folder import RunFolder, layer_files
from hwnorm.run.settings import RunSettings


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
        "report.html",
        "notes.txt",
        "mine/data.csv",
    ):
        path = made.path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(name)
    return made


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
    assert left == {"run.json", "notes.txt", "mine/data.csv"}
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
    path = run.path / "choice.json"
    path.unlink()
    assert not run.is_current(path, "choice", "abc")
    run.write(path, "choice", "abc", {})
    assert run.is_current(path, "choice", "abc")
    assert not run.is_current(path, "choice", "abd")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hwnorm_version": "0.0"}))
    assert not run.is_current(path, "choice", "abc")


def test_layers_come_in_the_order_of_execution(run):
    """By position, not by name; a folder without layers names the stage that fills it."""
    folder = run.path / "profiles"
    (folder / "a.json").unlink()
    with pytest.raises(InputError, match=f"run `hwnorm capture {run.path}` first"):
        layer_files(folder, "capture")
    for position, layer in enumerate(("z", "b", "m")):
        run.write(folder / f"{layer}.json", "profile", "", {"position": position})
    assert [path.stem for path in layer_files(folder, "capture")] == ["z", "b", "m"]
