"""The version, stated once: the build reads it from here. And of the code what it does not tell."""

from __future__ import annotations

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

from hwnorm.resources import FOLDERS, resource

VERSION = "0.1.0"

#: Whose versions results depend on, to the last digit at least.
LIBRARIES = ("deap", "numpy", "pillow", "scipy", "timm", "torch")


@cache
def code_digest() -> str:
    """A short hash of hwnorm's own code: its modules, templates, hand-written Verilog and testbenches.

    It is the same in a checkout and in the wheel that is built of it, and changes with any byte. It is that
    of the files when a process first asks.
    """
    return digest_of_code(Path(__file__).parent)


def digest_of_code(package: Path) -> str:
    """:func:`code_digest` of the package in a folder, which need not be this one."""
    sha = hashlib.sha256()
    for name, path in sorted(_sources(package).items()):
        for part in (name.encode(), path.read_bytes()):
            sha.update(hashlib.sha256(part).digest())
    return sha.hexdigest()[:16]


def _sources(package: Path) -> dict[str, Path]:
    """Every file of the code, by where it lies in a checkout."""
    found = {
        f"hwnorm/{path.relative_to(package).as_posix()}": path
        for path in package.rglob("*.py")
        if "_resources" not in path.relative_to(package).parts
    }
    for folder in FOLDERS:
        root = resource(folder, package)
        found |= {
            f"{folder}/{path.relative_to(root).as_posix()}": path
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
        }
    return found


@cache
def library_versions() -> dict[str, str]:
    """The installed version of each library that results depend on."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}
