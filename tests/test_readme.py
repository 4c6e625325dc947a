"""README.md: its blocks of code do what they say, and it stays short."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from diagram import PLACE, draw
from pages import ROOT, blocks, check_command, commands

README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Commands that take seconds and need nothing that is not there: these are run, in the README's order.
CHEAP = {"doctor", "targets", "compile", "verify"}


def ran(line: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command's end, run with the README's folder on Python's path."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def difference(page: str, folder: Path) -> str:
    """What is wrong with the Python block of a page and the output behind it; empty where nothing is."""
    found = blocks(page)
    (place,) = [i for i, block in enumerate(found) if block.language == "python"]
    done = ran([sys.executable, "-c", found[place].text], folder)
    if done.returncode != 0:
        return done.stderr
    shown = found[place + 1]
    return "" if (shown.language, shown.text) == ("text", done.stdout) else done.stdout


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_every_block_is_of_a_kind_that_is_tested():
    assert {block.language for block in blocks(README)} == {"sh", "python", "text"}


def test_the_python_block_prints_what_stands_behind_it(tmp_path):
    assert difference(README, tmp_path) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "what"),
    [
        ("hwnorm.compile(", "hwnorm.compiles(", "AttributeError"),
        ('print(kernel.passed, kernel.verdict.codes, "codes")', "print(1)", "1\n"),
        ("True 65536 codes", "True 65535 codes", "True 65536 codes"),
    ],
)
def test_a_wrong_python_block_is_found(tmp_path, right, wrong, what):
    """A name that is not there, a line that prints something else, an output that is not so."""
    page = README.replace(right, wrong)
    assert page != README
    # The kernel alone, which is made in no time; the block's last lines need the model.
    page = re.sub(r"student = .*\nprint\(student.*\n|ExpressionModule.*\n", "", page)
    assert what in difference(page, tmp_path)


def test_every_command_is_one():
    found = commands(README)
    assert len(found) >= 15
    for words in found:
        check_command(words)


@pytest.mark.parametrize(
    "line",
    [
        "hwnorm engine runs/demo --bugdet dsp=200",
        "hwnorm engines runs/demo",
        "hwnorm cosim runs/demo --images four",
        "hwnorm cosim",
        "hwnorm verify tanh_kernel twice",
        "hwnorm engine runs/demo --norms layernorms",
    ],
)
def test_a_wrong_command_is_found(line):
    """An option, a command or a value that there is none of; what is missing, what is too much."""
    (words,) = commands(f"```sh\n{line}\n```")
    with pytest.raises(ValueError, match=f"hwnorm {words[0]}"):
        check_command(words)


def test_cheap_commands_do_what_they_say(tmp_path):
    done = []
    for words in commands(README):
        if words[0] in CHEAP:
            done.append(words[0])
            main = [sys.executable, "-c", "from hwnorm.cli import main; main()", *words]
            end = ran(main, tmp_path)
            assert end.returncode == 0, (words, end.stdout, end.stderr)
    assert set(done) == CHEAP
    assert (tmp_path / "tanh_kernel" / "verdict.json").is_file()


def test_other_lines_of_shell_are_known_ones():
    """What make is to do, it can; scripts are there and take the options that are given."""
    for block in blocks(README):
        for line in block.text.splitlines() if block.language == "sh" else ():
            words = shlex.split(line, comments=True)
            if words[0] == "make":
                end = ran(["make", "--dry-run", *words[1:]], ROOT)
                assert end.returncode == 0, end.stderr
            elif words[0].endswith("python"):
                script = (ROOT / words[1]).read_text(encoding="utf-8")
                for option in words[2:]:
                    assert not option.startswith("--") or f'"{option}"' in script, (words[1], option)
            else:
                assert words[0] in ("hwnorm", "echo"), line


def test_the_diagram_is_the_one_that_its_script_draws():
    assert PLACE.read_text(encoding="utf-8") == draw()
    assert str(PLACE.relative_to(ROOT)) in README
