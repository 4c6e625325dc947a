"""The HLS part of an engine's package without the rest: written, compiled with g++, run over images."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from hwnorm.engine.emit import parameters
from hwnorm.engine.hls import hls_sources
from hwnorm.engine.package import program_files
from hwnorm.engine.program import Program
from hwnorm.verify.toolchain import ap_types

Done = subprocess.CompletedProcess[str]

#: To compile is what takes time, where networks are small.
QUICK = "CXXFLAGS=-O0"
#: What ``make`` compiles.
TESTBENCH = "made/hwnorm_engine_tb"


def write_hls(program: Program, folder: Path, vectors: int) -> None:
    """``hls/``, for any program of the same hardware."""
    _write(
        folder / "hls", {name: text.encode() for name, text in hls_sources(program, 250.0, vectors).items()}
    )


def write_program(program: Program, folder: Path, images: np.ndarray) -> None:
    """``program/`` for normalized images (n, C, H, W).

    Memories that are larger than the program, for another one's sake, end with zeros.
    """
    files, sizes = program_files(program, images), parameters(program)
    for name, words in (("program.mem", sizes["PHASES"]), ("table.mem", sizes["S_WORDS"])):
        lines = files[name].splitlines(keepends=True)
        files[name] += (b"0" * (len(lines[0]) - 1) + b"\n") * (words - len(lines))
    _write(folder / "program", files)


def make(folder: Path, *options: str) -> Done:
    """``make -C hls``: compiles what is not compiled yet, and runs the vectors; or as options say."""
    return _run("make", "-C", folder / "hls", f"AP_TYPES={ap_types()}", *options)


def run(folder: Path, program: Path, images: int | str) -> Done:
    """The compiled testbench of a package over the images in a folder."""
    return _run(folder / "hls" / TESTBENCH, program, images)


def _run(*command: object) -> Done:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
