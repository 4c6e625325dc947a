"""What is stale is told, with the command that renews it; what belongs together is not."""

from __future__ import annotations

import json

import pytest
from run_folders import begun, choice_of, profile_artefact, put, put_alone, some_profile, straight

from hwnorm.errors import InputError
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import CHOICE, FRONT, PACKAGES, PROFILE
from hwnorm.runs.settings import RunSettings
from hwnorm.search.layer import Front
from hwnorm.stages.emit import emit


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A run of two layers that fold, up to their packages."""
    made = begun(tmp_path / "r")
    for position, layer in enumerate(("a", "b")):
        put(made, PROFILE, profile_artefact(some_profile(), layer, position), layer)
        front = {"layer": layer, "position": position, "input": "s10f6", "output": "s8f5", "target": "xcup"}
        figures = {"ceiling_r2": 1.0, "hypervolume": [], "points": []}
        put(made, FRONT, Front.model_validate(front | figures), layer)
    put_alone(made, CHOICE, choice_of(straight("a"), straight("b")))
    emit(made)
    return made


def change(run: RunFolder, product, layer=None, **fields) -> None:
    path = run.at(product, layer)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_belongs_together_is_not_stale(run):
    for product in (PROFILE, FRONT, CHOICE, PACKAGES):
        assert run.stale(product) is None


def test_a_front_of_another_profile_is_told(run):
    """The layer's own, by what the profile says and not by when it was written."""
    run.at(PROFILE, "a").touch()
    assert run.stale(FRONT, "a") is None
    change(run, PROFILE, "a", tokens=65)
    assert run.stale(FRONT, "a") == f"stale: made from another profile; `hwnorm search {run.path}` renews it"
    assert run.stale(FRONT, "b") is None
    assert run.stale(FRONT) is not None
    with pytest.raises(InputError, match=r"a\.json: stale: made from another profile"):
        run.read(FRONT, "a")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seed": 3}, None),
        ({"lanes": 2}, "made with other settings"),
        ({"target": "ecp5"}, "made from another target"),
        ({"cost_weights": "lut=2"}, "made from another target"),
    ],
)
def test_settings_and_target_are_those_of_the_run(run, settings, told):
    """Those that packages depend on, the target's weights among them; no others."""
    other = RunFolder(run.path, RunSettings(**settings))
    why = other.stale(PACKAGES)
    assert (why is None) if told is None else (told in str(why))


def test_what_was_made_from_something_stale_is_stale(run):
    """The whole chain is looked at, and each link names its own command."""
    path = run.at(CHOICE)
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"made_from": {"settings": "other"}}))
    assert "`hwnorm choose" in str(run.stale(CHOICE))
    why = run.stale(PACKAGES)
    assert str(why).startswith("stale, for what it was made from is (choice: stale: made with other settings")


def test_what_is_no_longer_there_says_nothing(run):
    """A run whose fronts were thrown away keeps its choice and packages."""
    for layer in ("a", "b"):
        run.at(FRONT, layer).unlink()
    assert run.stale(CHOICE) is None
    assert run.stale(PACKAGES) is None
