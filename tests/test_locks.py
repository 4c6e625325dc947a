"""Two processes in one folder: the second is told of the first, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwnorm.errors import InputError
from hwnorm.locks import alone_in

HOLDS = """
import sys
from pathlib import Path
from hwnorm.locks import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that works in a folder until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_other_process_is_named(tmp_path):
    """By its number, its machine and its command; once it has ended the folder is free."""
    folder = tmp_path / "new" / "deep" / "r"
    other = holder(folder)
    message = rf"deep/r: in use by process {other.pid} on \S+ \(-c .*\); wait for it"
    with pytest.raises(InputError, match=message), alone_in(folder):
        pass
    other.communicate("\n")
    assert not list(tmp_path.iterdir())
    with alone_in(folder):
        assert (folder.parent / ".r.lock").read_text().startswith(f"process {os.getpid()} ")
    assert not list(tmp_path.iterdir())


def test_what_a_dead_process_left_holds_nobody_up(tmp_path):
    other = holder(tmp_path / "r")
    other.kill()
    other.communicate()
    assert (tmp_path / ".r.lock").exists()
    with alone_in(tmp_path / "r"):
        (tmp_path / "r").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_link_and_its_folder_are_one(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "link").symlink_to("r")
    other = holder(tmp_path / "link")
    with pytest.raises(InputError, match="in use by"), alone_in(tmp_path / "r"):
        pass
    other.communicate("\n")
