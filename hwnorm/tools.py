"""Runs other tools, keeps what they say, and shows it with the command when they fail."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwnorm.errors import InputError


class ToolError(InputError):
    """Another tool failed: its own ``output``, and the ``command`` that can be run again by hand."""

    def __init__(self, message: str, output: str, command: str) -> None:
        super().__init__(message)
        self.output = output
        self.command = command


def find_tool(name: str) -> str:
    """The path of a command: beside this Python first, then on the PATH.

    Raises:
        InputError: it is not installed; says what would install it.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        how = "pip install 'hwnorm[characterize]'" if name.startswith("yowasp-") else f"install {name}"
        raise InputError(f"{name}: not installed: {how}")
    return found


def run_tool(
    command: Sequence[str | Path], log: Path, what: str, *, cwd: Path, environment: Mapping[str, str]
) -> str:
    """Run a command with its output in ``log``; return the output.

    Raises:
        ToolError: it failed; the message is one line that names ``what`` and the log.
    """
    line = [str(part) for part in command]
    done = subprocess.run(line, cwd=cwd, env=dict(environment), capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    log.write_text(output, encoding="utf-8")
    if done.returncode != 0:
        name = Path(line[0]).name
        raise ToolError(
            f"{what}: {name} failed with status {done.returncode}; see {log}",
            output,
            f"cd {shlex.quote(str(cwd))} && {shlex.join(line)}",
        )
    return output
