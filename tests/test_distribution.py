"""Tests that share a fixture run in one process, others anywhere; slow ones that are left out are told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DISTRIBUTION = Path(__file__).parent / "distribution.py"
SHARED = """
import os, pathlib, pytest
@pytest.fixture(scope="session")
def base():
    return 1
@pytest.fixture(scope="session")
def dear(base):
    with open(pathlib.Path(__file__).with_name("built"), "a") as file:
        file.write(f"{os.getpid()}\\n")
@pytest.fixture
def copy(dear):
    pass
@pytest.fixture(autouse=True)
def log(request):
    with open(pathlib.Path(__file__).with_name("ran"), "a") as file:
        file.write(f"{request.node.name} {os.getpid()}\\n")
"""
FILE = """
import pytest
@pytest.mark.parametrize("case", range(4))
def test_dear(dear, case): pass
def test_copy(copy): pass
@pytest.mark.parametrize("case", range(4))
def test_base(base, case): pass
def test_alone(): import time; time.sleep(0.3)
@pytest.mark.slow
def test_slow(): pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder of two files of tests, with a dear fixture that tests of both share."""
    shutil.copy(DISTRIBUTION, tmp_path)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["distribution"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nmarkers = slow\n")
    folder = tmp_path / "part"
    folder.mkdir()
    (folder / "conftest.py").write_text(SHARED)
    (folder / "test_one.py").write_text(FILE)
    (folder / "test_two.py").write_text(FILE)
    return tmp_path


def run(suite: Path, *options: str) -> str:
    """What pytest prints; it must pass."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(suite)]
    done = subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_shared_fixture_is_built_in_one_process(suite):
    """Also for tests that ask for it by way of another one; what it is made of may be built again."""
    run(suite, "-n", "2", "--dist", "loadgroup")
    ran = [line.rsplit(" ", 1) for line in (suite / "part" / "ran").read_text().splitlines()]
    assert len(ran) == 2 * 11
    (builder,) = (suite / "part" / "built").read_text().split()
    assert {process for name, process in ran if name.startswith(("test_dear", "test_copy"))} == {builder}
    assert len({process for name, process in ran if name.startswith("test_base")}) == 1
    assert len({process for _, process in ran}) == 2


@pytest.mark.parametrize("options", [[], ["-n", "2", "--dist", "loadgroup"]])
def test_slow_tests_that_are_left_out_are_told(suite, options):
    """Counted once, whatever the number of processes; nothing is said where all of them run."""
    line = "2 slow tests left out; make test-all runs them"
    assert run(suite, "-m", "not slow", *options).splitlines().count(line) == 1
    assert not re.search("left out", run(suite, *options))
