"""Whole images through an engine's Verilog, on Verilator."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnorm.engine.cycles import Timing, predict
from hwnorm.engine.emit import core_sources, memories, pixels_a_beat
from hwnorm.engine.memories import weight_stream
from hwnorm.engine.program import Program
from hwnorm.files import digest
from hwnorm.integers.operations import Codes
from hwnorm.resources import resource
from hwnorm.tools import ToolError
from hwnorm.verify.cache import prune, use
from hwnorm.verify.runner import install, keep_library
from hwnorm.verify.toolchain import cache_folder, find_toolchain

#: The C++ of an array is large; -O1 compiles in half the time of -O2 and runs as fast. The wheel's makefile
#: leaves out how a precompiled header is named.
_MAKE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "CFG_CXXFLAGS_PCH_I=-include")
_FLAGS = (
    *("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"),
    *("-Wno-fatal", "-Wno-lint", "-Wno-style", "--quiet", "--top-module", "engine", "--prefix", "Vengine"),
)


@dataclass(frozen=True)
class Image:
    """What an engine made of an image: its counters, the cycle of its start, and its logits' codes."""

    cycles: int
    busy: int
    stall: int
    start: int
    logits: tuple[int, ...]

    @property
    def counters(self) -> tuple[int, int, int]:
        """Cycles, busy, stall: to hold beside :attr:`hwnorm.engine.cycles.Timing.counters`."""
        return self.cycles, self.busy, self.stall


@dataclass(frozen=True)
class Agreement:
    """Images whose logits are the network's, those whose counters are as predicted, and the predictions."""

    logits: int
    cycles: int
    timings: list[Timing]


def compare(program: Program, images: npt.NDArray[np.floating], found: Sequence[Image]) -> Agreement:
    """What an engine made of images (n, C, H, W), beside its integer network and its prediction."""
    wanted, timings = program.network.evaluate(images), predict(program, len(images))
    return Agreement(
        sum(image.logits == tuple(row.tolist()) for image, row in zip(found, wanted, strict=True)),
        sum(image.counters == timing.counters for image, timing in zip(found, timings, strict=True)),
        timings,
    )


class Simulator:
    """The Verilated engine of a program, built once for all programs of the same hardware.

    These are what :func:`hwnorm.engine.program.compile_programs` makes of several networks.

    Args:
        program: what it computes.
        rtl: Verilog by file name, such as that of a package; rendered from the program unless given.

    Raises:
        InputError: a tool is missing.
        ToolError: Verilator or the compiler failed.
    """

    def __init__(self, program: Program, rtl: dict[str, str] | None = None) -> None:
        self.program = program
        self._built = _build(rtl or core_sources(program))

    def run(
        self, images: npt.NDArray[np.floating], interval: int = 1, stalls: int = 0, seed: int = 0
    ) -> list[Image]:
        """Normalized images (n, C, H, W), one right behind the other.

        Args:
            images: what the network evaluates.
            interval: a beat of weights comes every so many cycles at most.
            stalls: of 100 cycles so many each stream pauses, by chance.
            seed: of that chance.

        Raises:
            ToolError: the engine ended with an error word, or came to nothing.
        """
        codes: Codes = self.program.network.pixels.codes(images)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for name, text in self._memories.items():
                (folder / name).write_text(text, encoding="ascii")
            (folder / "weights.bin").write_bytes(self._weights)
            (folder / "images.bin").write_bytes((codes + 128).astype(np.uint8).tobytes())
            options: list[Any] = ["weights.bin", "images.bin", len(images), self.program.engine.beat // 8]
            options += [pixels_a_beat(self.program), interval, stalls, seed]
            command = [str(self._built), *map(str, options)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
            raise ToolError(f"the engine's simulation ended: {said[-1]}", "\n".join(said), " ".join(command))
        return [_image(line) for line in done.stdout.splitlines()]

    @cached_property
    def _memories(self) -> dict[str, str]:
        return memories(self.program)

    @cached_property
    def _weights(self) -> bytes:
        return weight_stream(self.program).tobytes()


def _image(line: str) -> Image:
    """What the simulation says of an image: sim/engine/engine.cpp."""
    cycles, busy, stall, start, *logits = map(int, line.split())
    return Image(cycles, busy, stall, start, tuple(logits))


def _build(rtl: dict[str, str]) -> Path:
    toolchain = find_toolchain()
    harness = resource("sim") / "engine" / "engine.cpp"
    key = digest(rtl, harness.read_text(encoding="utf-8"), _FLAGS, _MAKE, toolchain.versions)
    built = cache_folder() / "engines" / key
    if built.is_file():
        return use(built)
    built.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".building.", dir=built.parent))
    try:
        for name, text in rtl.items():
            (folder / name).write_text(text, encoding="utf-8")
        library = cache_folder() / "library" / digest(_FLAGS, _MAKE, toolchain.versions)
        make = list(_MAKE)
        if library.is_dir():
            shutil.copytree(library, folder / "made")
            # The makefile takes them for older than itself.
            make += [f"-o {part.name}" for part in library.iterdir()]
        command = [str(toolchain.verilator), *_FLAGS, "-j", str(os.cpu_count() or 1), "--Mdir", "made"]
        command += ["-MAKEFLAGS", " ".join(make), *rtl, str(harness)]
        done = subprocess.run(
            command, cwd=folder, env=toolchain.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = done.stdout + done.stderr
            raise ToolError(f"Verilator failed on the engine: {said.strip()[-300:]}", said, " ".join(command))
        if not library.is_dir():
            keep_library(folder / "made", library)
        install(folder / "made" / "Vengine", built)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    prune()
    return built
