"""How a command ends: what other tools said is shown, Ctrl-C is told apart from mistakes."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from hwnorm.cli.group import Commands, held
from hwnorm.locks import alone_in
from hwnorm.tools import run_tool
from hwnorm.version import VERSION


def ending(command, name="go"):
    """What CliRunner finds when a command of the group does that."""
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    app.command(name)(command)
    return CliRunner().invoke(app, [name])


def test_another_tools_message_and_command_are_shown(tmp_path):
    """One line, then all that the tool said, then a command that fails in just the same way again."""
    script = "import sys; print('%Error: core.v:7: no such wire'); print('2 errors'); sys.exit(3)"

    def go() -> None:
        run_tool([sys.executable, "-c", script], tmp_path / "log", "kernel k", cwd=tmp_path, environment={})

    result = ending(go)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    first, *said, again = result.stderr.splitlines()
    assert first.startswith("hwnorm: kernel k: ")
    assert "status 3: core.v:7: no such wire; see " in first
    assert said == ["%Error: core.v:7: no such wire", "2 errors"]
    assert again.startswith(f"to run it again: cd {tmp_path} && {sys.executable} -c ")


def test_interrupt_says_that_work_is_kept():
    """Ctrl-C: exit code 130 and one line."""

    def go() -> None:
        raise KeyboardInterrupt

    result = ending(go)
    assert result.exit_code == 130
    assert result.stderr.count("\n") == 1
    assert "goes on from there" in result.stderr
    assert "the same command begins anew" in ending(go, "compile").stderr


def test_what_a_queue_ends_is_tidied_up(tmp_path):
    """SIGTERM: what is held is let go, code 143 and one line; the handler that was there is again."""
    before = signal.getsignal(signal.SIGTERM)

    def go() -> None:
        held.enter_context(alone_in(tmp_path / "r"))
        assert [path.name for path in tmp_path.iterdir()] == [".r.lock"]
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    result = ending(go)
    assert result.exit_code == 143
    assert result.stderr.startswith("hwnorm: terminated; ")
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) == before


def test_trouble_with_a_file_is_one_line():
    """An OSError that names a file is the user's to put right; one without is a bug and stays loud."""

    def full() -> None:
        raise OSError(28, "No space left on device", "/out/x")

    result = ending(full)
    assert result.exit_code == 2
    assert result.stderr == "hwnorm: /out/x: No space left on device\n"

    def full_without_a_name() -> None:
        raise OSError(28, "No space left on device")

    def full_in_a_library() -> None:
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    for command in (full_without_a_name, full_in_a_library):
        result = ending(command)
        assert (result.exit_code, result.stderr) == (2, "hwnorm: No space left on device\n")

    def bug() -> None:
        raise OSError("odd")

    assert isinstance(ending(bug).exception, OSError)


def test_version():
    """`hwnorm --version` prints the package's version."""
    from hwnorm.cli import app

    assert CliRunner().invoke(app, ["--version"]).stdout == f"hwnorm {VERSION}\n"


@pytest.mark.parametrize("command", ["run", "capture", "search", "choose", "realign", "emit", "verify"])
def test_every_stage_explains_itself(command):
    """`--help` of each stage works and says something."""
    from hwnorm.cli import app

    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout
