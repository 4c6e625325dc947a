"""Many cores in one Verilated model with a C++ main program: quick to build, and nothing but the cores."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwnorm.emit.render import render
from hwnorm.tools import ToolError, run_tool
from hwnorm.verify.kernel import Kernel, blamed
from hwnorm.verify.toolchain import Toolchain

_TOP = "hwnorm_cores"
#: Verilator's settings in C++, as its own makefile gives them for a model without tracing and timing.
_DEFINED = ("-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE=0")
_LIBRARY = ("verilated", "verilated_threads")


def sweep_cores(
    kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path, library: Path
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Run lane 0 of ``kernel.codes`` through every kernel's core.

    Args:
        kernels: with names of their own.
        toolchain: where the tools are.
        folder: for the files of this run.
        library: folder that keeps Verilator's compiled run-time library from one call to the next.

    Returns:
        Output codes (int64, one a beat) and Verilator's warnings, both by top; no warnings, no entry.

    Raises:
        ToolError: Verilator, g++ or the program failed.
    """
    context = {
        "kernels": [
            {
                "top": kernel.top,
                "input": kernel.stream.input,
                "output": kernel.stream.output,
                "latency": kernel.latency,
                "count": len(kernel.codes),
            }
            for kernel in kernels
        ],
        "cycles": max(len(kernel.codes) + kernel.latency for kernel in kernels),
    }
    for name in (f"{_TOP}.v", f"{_TOP}.cpp"):
        text = render(f"fuzz/{name.removeprefix('hwnorm_')}.j2", context)
        (folder / name).write_text(text, encoding="utf-8")
    sources = [_core(kernel) for kernel in kernels]
    try:
        said = _verilate(toolchain, folder, sources)
        program = _compile(toolchain, folder, library)
    except ToolError as error:
        raise ToolError(f"{blamed(kernels, error.output)}: {error}", error.output, error.command) from None
    codes = [np.ascontiguousarray(kernel.codes[:, 0]) for kernel in kernels]
    done = subprocess.run(
        [program], input=b"".join(c.tobytes() for c in codes), capture_output=True, check=False
    )
    ends = np.cumsum([len(c) for c in codes])
    if done.returncode != 0 or len(done.stdout) != 8 * ends[-1]:
        raise ToolError(
            f"{blamed(kernels, '')}: the Verilated cores broke off with status {done.returncode}",
            done.stderr.decode(errors="replace"),
            str(program),
        )
    parts = np.split(np.frombuffer(done.stdout, dtype=np.int64), ends[:-1])
    results = {kernel.top: part for kernel, part in zip(kernels, parts, strict=True)}
    return results, _warnings(kernels, said)


def _verilate(toolchain: Toolchain, folder: Path, sources: Sequence[Path]) -> str:
    command: list[str | Path] = [
        toolchain.verilator,
        *["--cc", "--quiet", "-Wall", "-Wno-fatal", "--x-assign", "fast"],
        "--top-module",
        _TOP,
        "-Mdir",
        "model",
        f"{_TOP}.v",
        *sources,
    ]
    log = folder / "verilate.log"
    return run_tool(command, log, "Verilator", cwd=folder, environment=toolchain.environment)


def _compile(toolchain: Toolchain, folder: Path, library: Path) -> Path:
    """The program; all of the model's files in one translation unit, as a header is most of each."""
    include = Path(toolchain.environment["VERILATOR_ROOT"]) / "include"
    flags = ["-std=c++17", "-w", "-Imodel", f"-I{include}", f"-I{include / 'vltstd'}", *_DEFINED]
    log = folder / "compile.log"

    def gxx(*arguments: str | Path) -> None:
        command: list[str | Path] = [toolchain.gxx, *arguments]
        run_tool(command, log, "Verilated cores", cwd=folder, environment=toolchain.environment)

    objects = [library / f"{name}.o" for name in _LIBRARY]
    for made in objects:
        if not made.exists():
            beside = made.with_name(f".{os.getpid()}.{made.name}")
            gxx("-O1", *flags, "-c", include / f"{made.stem}.cpp", "-o", beside)
            beside.replace(made)
    parts = sorted((folder / "model").glob("*.cpp"))
    lines = [f'#include "{part}"\n' for part in [*parts, folder / f"{_TOP}.cpp"]]
    (folder / "all.cpp").write_text("".join(lines), encoding="utf-8")
    program = folder / _TOP
    gxx("-O0", *flags, "all.cpp", *objects, "-pthread", "-o", program)
    return program


def _warnings(kernels: Sequence[Kernel], said: str) -> dict[str, str]:
    """The warnings about each core's file."""
    found: dict[str, str] = {}
    for warning in said.split("%Warning-")[1:]:
        for kernel in kernels:
            if str(_core(kernel)) in warning:
                found[kernel.top] = found.get(kernel.top, "") + warning
    return found


def _core(kernel: Kernel) -> Path:
    return kernel.folder.resolve() / "rtl" / f"{kernel.top}_core.v"
