"""What ``hwnorm doctor`` looks at: Python, packages, tools, the GPU and the cache.

Nothing here needs a package that might be missing: torch, timm and the rest are asked for by name.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.tools import compiled, on_path, tool_environment, where
from hwnorm.verify.cache import MOST_BYTES, cache_bytes
from hwnorm.verify.toolchain import cache_folder, find_toolchain

#: The oldest Python that hwnorm runs on.
OLDEST = (3, 11)
#: Extras of hwnorm, and what their packages are for; those of "verify" the main job needs too.
EXTRAS = {
    "verify": "simulation of what is emitted, in Verilog and in C++",
    "characterize": "synthesis, place and route, proofs: hwnorm synth, compare, characterize",
    "export": "hwnorm export: ONNX and QONNX",
    "sweep": "hwnorm sweep and hwnorm pareto, and the page of a study",
    "cluster": "--cluster: Dask, Slurm, LSF",
    "docs": "make docs: the site of documentation",
    "peers": "the benchmarks that compare with other tools",
    "dev": "work on hwnorm itself: tests, ruff, mypy",
}
#: Commands of the system -> the option that says their version, what they are for, Debian's package.
COMMANDS = {
    "g++": ("--version", "compiling simulators, HLS C++ and integer networks", "g++"),
    "make": ("--version", "building simulators and running emitted packages", "make"),
    "iverilog": ("-V", "the plain Verilog testbench of a package", "iverilog"),
    "yosys": ("-V", "--yosys yosys, in the place of the Yosys of the extra characterize", "yosys"),
    "chromium": ("--version", "the test of a study's page in a browser", "chromium"),
}
#: Commands without which the main job does not run.
NEEDED = ("g++", "make")


class Status(StrEnum):
    """How a thing was found; what is not needed by the main job is ``absent``, not ``missing``."""

    OK = "ok"
    MISSING = "missing"
    ABSENT = "absent"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: what it is called.
        status: whether it is there, and if not, whether the main job needs it.
        found: its version or what else is known of it; what is wrong with it where it is not ``ok``.
        gives: what it is for.
        how: the command that installs it; empty where there is none, or nothing is missing.
    """

    name: str
    status: Status
    found: str
    gives: str
    how: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, and the cache: its folder, its size and the size it is kept to, in bytes."""

    findings: tuple[Finding, ...]
    cache: Path
    cache_bytes: int
    cache_most_bytes: int

    @property
    def missing(self) -> list[Finding]:
        """What the main job lacks."""
        return [finding for finding in self.findings if finding.status is Status.MISSING]

    def as_json(self) -> str:
        """All of it as text."""
        cache = {"folder": str(self.cache), "bytes": self.cache_bytes, "most_bytes": self.cache_most_bytes}
        findings = [asdict(finding) for finding in self.findings]
        return json.dumps({"ok": not self.missing, "findings": findings, "cache": cache}, indent=1)


def examine() -> Report:
    """Look at everything; takes a few seconds, since torch is imported to see whether there is a GPU."""
    findings = [_python(), *_packages(), *_commands(), _gpu()]
    if all(finding.status is not Status.MISSING for finding in findings):
        findings.append(_toolchain())
    folder = cache_folder()
    return Report(tuple(findings), folder, cache_bytes(), MOST_BYTES)


def _python() -> Finding:
    needed = ".".join(map(str, OLDEST))
    status = Status.OK if sys.version_info >= OLDEST else Status.MISSING
    how = "" if status is Status.OK else f"install Python {needed} or newer"
    return Finding("Python", status, platform.python_version(), f"hwnorm itself ({needed} or newer)", how)


def _packages() -> Iterator[Finding]:
    """A finding a package of hwnorm's own requirements, as its metadata have them."""
    try:
        required = importlib.metadata.requires("hwnorm") or []
    except importlib.metadata.PackageNotFoundError:
        what = "is not installed, so what it requires is not known"
        yield Finding("hwnorm", Status.MISSING, what, "the command itself", "pip install hwnorm")
        return
    seen: set[str] = set()
    for extra, gives in {"": "the main job", **EXTRAS}.items():
        for line in required:
            spec, _, marker = line.partition(";")
            belongs = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
            name = re.split(r"[^\w.-]", spec.strip(), maxsplit=1)[0]
            if (belongs[1] if belongs else "") == extra and name not in seen:
                seen.add(name)
                yield _package(name, spec.strip(), extra, gives)


def _package(name: str, spec: str, extra: str, gives: str) -> Finding:
    needed = extra in ("", "verify")
    lacking = Status.MISSING if needed else Status.ABSENT
    how = f"pip install 'hwnorm[{extra}]'" if extra else "pip install hwnorm"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, lacking, "not installed", gives, how)
    if not _fits(version, spec):
        return Finding(name, lacking, f"{version} is installed, {spec} is needed", gives, how)
    if name.startswith("yowasp-"):
        if where(name) is None:
            return Finding(name, lacking, f"{version}, but its command is not there", gives, how)
        if not compiled(name):
            version += " (its first call takes a minute or two)"
    return Finding(name, Status.OK, version, gives)


def _fits(version: str, spec: str) -> bool:
    """Whether a version is one that a requirement allows; True where that cannot be found out."""
    try:
        from packaging.requirements import Requirement  # comes with matplotlib
    except ImportError:
        return True
    return Requirement(spec).specifier.contains(version, prereleases=True)


def _commands() -> Iterator[Finding]:
    for name, (option, gives, package) in COMMANDS.items():
        path = on_path(name)
        if path is None:
            status = Status.MISSING if name in NEEDED else Status.ABSENT
            yield Finding(name, status, "not on the PATH", gives, f"apt-get install {package}")
        else:
            yield Finding(name, Status.OK, _said(path, option), gives)


def _said(path: str, option: str) -> str:
    """The first line that a command says of its version; its path where it says nothing in a while."""
    try:
        done = subprocess.run(
            [path, option], capture_output=True, text=True, check=False, timeout=20, env=tool_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return path
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else path


def _gpu() -> Finding:
    gives = "fine-tuning on it, and from Python capture and re-alignment"
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("GPU", Status.ABSENT, f"not known: torch cannot be imported ({error})", gives)
    if not torch.cuda.is_available():
        return Finding("GPU", Status.ABSENT, "none that torch can use", gives)
    count = torch.cuda.device_count()
    names = sorted({torch.cuda.get_device_name(i) for i in range(count)})
    return Finding("GPU", Status.OK, f"{count} x {', '.join(names)}", gives)


def _toolchain() -> Finding:
    """What the main job itself looks for first, and whether the cache can be written."""
    gives = "building simulators in the cache"
    try:
        found = find_toolchain()
    except InputError as error:
        return Finding("toolchain", Status.MISSING, str(error), gives)
    return Finding("toolchain", Status.OK, f"Verilator {found.versions['verilator']}", gives)
