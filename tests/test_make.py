"""``make setup`` on other machines: which torch is asked for, and what pip is given."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Plays Python: makes a venv whose Python is itself, and notes what pip is asked for.
PYTHON = """#!/bin/sh
case "$*" in
  "-c "*|--version) exit 0;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 0;;
  *--index-url*) echo "$*" >> "$LOG"; exit "$NO_CPU_BUILD";;
  *) echo "$*" >> "$LOG";;
esac
"""


def asked(
    tmp_path: Path, gpu: bool, cpu_build: bool, *arguments: str, goal: str = "setup"
) -> tuple[list[str], str]:
    """The calls of pip that ``make setup`` makes, or another goal of Python, and what it prints."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("python", PYTHON), ("nvidia-smi", f"#!/bin/sh\nexit {int(not gpu)}\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = {"LOG": str(tmp_path / "log"), "NO_CPU_BUILD": str(int(not cpu_build))}
    done = subprocess.run(
        ["make", goal, f"PYTHON={tools / 'python'}", *arguments],
        cwd=tmp_path,
        env=environment | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (tmp_path / "log").read_text().splitlines(), done.stdout


@pytest.mark.parametrize("cpu_build", [True, False])
def test_without_a_gpu_a_build_for_cpus_is_asked_for_first(tmp_path, cpu_build):
    """Where there is none, the set-up goes on with what pip's own index has, and says so."""
    (first, second), said = asked(tmp_path, False, cpu_build, "PIP_ARGS=--find-links wheels")
    pin = next(x for x in (ROOT / "constraints.txt").read_text().splitlines() if x.startswith("torch=="))
    assert "--index-url https://download.pytorch.org/whl/cpu --find-links wheels" in first
    assert first.endswith(pin)
    assert "-c constraints.txt --find-links wheels -e .[" in second
    assert ("no build of torch for CPUs alone" in said) is not cpu_build


def test_with_a_gpu_torch_is_the_indexs(tmp_path):
    (only,), said = asked(tmp_path, True, True)
    assert "-e .[" in only
    assert "no build of torch" not in said


def test_the_sites_packages_are_installed_for_the_site_alone(tmp_path):
    """``make docs`` sets up, adds its own extra and builds; ``make setup`` asks for nothing of it."""
    setup, site, build = asked(tmp_path, True, True, goal="docs")[0]
    assert "docs" not in setup
    assert "-c constraints.txt" in site
    assert site.endswith("-e .[docs]")
    assert build == "-m mkdocs build --strict"
