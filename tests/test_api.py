"""The package's own names: there without torch, whatever else was imported."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import hwnorm
import hwnorm.api
import hwnorm.runs.settings
from hwnorm.errors import InputError
from hwnorm.runs.settings import RunSettings
from hwnorm.stages.main import Finished, run_all


def test_torch_is_imported_when_it_is_needed():
    """The command line answers --help without; so do the package's names, until one is used."""
    text = "import sys, hwnorm, hwnorm.cli; assert 'torch' not in sys.modules; assert callable(hwnorm.run)"
    subprocess.run([sys.executable, "-c", text], check=True)


def test_run_is_the_main_job_though_a_package_has_its_name(tmp_path):
    """Modules of the package stay what they are."""
    assert hwnorm.runs.settings.RunSettings is RunSettings
    with pytest.raises(InputError, match=r"option --seeds: 3; extra inputs"):
        hwnorm.run(tmp_path / "r", seeds=3)
    with pytest.raises(InputError, match=r"option --jobs: -2; a whole number, at least 1, is needed"):
        hwnorm.run(tmp_path / "r", jobs=-2)
    assert not any(tmp_path.iterdir())
    with pytest.raises(AttributeError, match="nothing"):
        _ = hwnorm.nothing


def test_settings_are_those_of_the_command(monkeypatch, tmp_path):
    """Paths may be texts, and are absolute in the run folder; the folder is made by the stages."""
    given = []
    monkeypatch.setattr(hwnorm.api, "run_all", lambda *arguments: given.append(arguments))
    monkeypatch.chdir(tmp_path)
    hwnorm.run("r", data="images", weights=Path("w.pth"), target="mine.json", clock_mhz=300, jobs=3)
    ((folder, jobs, cluster),) = given
    assert (folder.path, jobs, cluster) == (Path("r"), 3, None)
    paths = {
        "data": tmp_path / "images",
        "weights": tmp_path / "w.pth",
        "target": str(tmp_path / "mine.json"),
    }
    assert folder.settings == RunSettings(clock_mhz=300.0, **paths)
    assert inspect.signature(run_all).return_annotation == Finished.__name__
