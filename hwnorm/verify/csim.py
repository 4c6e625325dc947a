"""HLS C++ compiled with g++ against the ap_fixed headers, all kernels in one program, run over all codes.

With it goes everything in C++ that a package ships: its stage on a stream, and the testbench that runs that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnorm.emit.render import render
from hwnorm.files import digest
from hwnorm.tools import ToolError, run_tool
from hwnorm.verify.cache import prune, use
from hwnorm.verify.kernel import Kernel, blamed
from hwnorm.verify.toolchain import Toolchain, ap_types, cache_folder

_FLAGS = ("-std=c++14", "-w")


@dataclass(frozen=True)
class Cpp:
    """What a package's C++ gave: output codes (int64) of its function, and its own testbench's complaint.

    The testbench takes every vector of the package through the function, and through the stage in bursts;
    ``fault`` is empty where it passed.
    """

    codes: np.ndarray
    fault: str


def run_cpp(kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path) -> dict[str, Cpp]:
    """Everything that packages ship in C++, by top: functions over lane 0 of ``kernel.codes``, testbenches.

    Raises:
        ToolError: g++ or the program failed.
    """
    program = _program(kernels, toolchain, folder, ["-O2", *_FLAGS], testbenches=True)
    codes = _functions(program, kernels, toolchain)
    return {k.top: Cpp(codes[k.top], _testbench(program, n, k, toolchain)) for n, k in enumerate(kernels)}


def _testbench(program: Path, number: int, kernel: Kernel, toolchain: Toolchain) -> str:
    vectors = kernel.folder.resolve() / "sim" / "vectors.txt"
    done = subprocess.run(
        [program, str(number), vectors],
        capture_output=True,
        text=True,
        check=False,
        env=toolchain.environment,
    )
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode == 0 and any(line.startswith(f"PASS: {kernel.top}, ") for line in lines):
        return ""
    return lines[0] if lines else f"the testbench ended with status {done.returncode}"


def run_csim(
    kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path, optimize: str = "-O2"
) -> dict[str, np.ndarray]:
    """The output codes (int64) of every kernel's C++ for lane 0 of ``kernel.codes``, by top.

    ``optimize`` is g++'s option: a program of many kernels and few codes is not worth -O2.

    Raises:
        ToolError: g++ or the program failed.
    """
    program = _program(kernels, toolchain, folder, [optimize, *_FLAGS], testbenches=False)
    return _functions(program, kernels, toolchain)


def _functions(program: Path, kernels: Sequence[Kernel], toolchain: Toolchain) -> dict[str, np.ndarray]:
    codes = [np.ascontiguousarray(kernel.codes[:, 0]) for kernel in kernels]
    done = subprocess.run(
        [program],
        input=b"".join(c.tobytes() for c in codes),
        capture_output=True,
        check=False,
        env=toolchain.environment,
    )
    results = np.frombuffer(done.stdout[: len(done.stdout) // 8 * 8], dtype=np.int64)
    if done.returncode != 0 or len(results) != sum(map(len, codes)):
        names = ", ".join(str(kernel.folder) for kernel in kernels)
        raise ToolError(
            f"{names}: the HLS program broke off with status {done.returncode}",
            done.stderr.decode(errors="replace"),
            str(program),
        )
    parts = np.split(results, np.cumsum([len(c) for c in codes])[:-1])
    return {kernel.top: part for kernel, part in zip(kernels, parts, strict=True)}


def _program(
    kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path, flags: Sequence[str], testbenches: bool
) -> Path:
    """The compiled program: from the cache, where its name is a hash of sources, flags and compiler."""
    headers = ap_types()
    context = [
        {
            "top": kernel.top,
            "folder": str(kernel.folder.resolve()),
            "input": kernel.stream.input,
            "output": kernel.stream.output,
            "count": len(kernel.codes),
        }
        for kernel in kernels
    ]
    told = {"testbenches": testbenches}
    text = render("verify/csim.cpp.j2", told | {"kernels": context})
    neutral = render("verify/csim.cpp.j2", told | {"kernels": [line | {"folder": "."} for line in context]})
    parts = [".cpp", ".h", *(["_axis.cpp", "_axis.h", "_tb.cpp"] if testbenches else [])]
    shared = ["hwnorm_cells.h", *(["hwnorm_axis.h"] if testbenches else [])]
    hls = [
        kernel.folder / "hls" / name
        for kernel in kernels
        for name in (*(f"{kernel.top}{part}" for part in parts), *shared)
    ]
    compiler = [*flags, toolchain.versions["g++"]]
    key = digest(neutral.encode(), *hls, *sorted(headers.glob("*.h")), compiler)
    ready = cache_folder() / "csim" / key
    if ready.exists():
        return use(ready)
    ready.parent.mkdir(parents=True, exist_ok=True)
    source = folder / "csim.cpp"
    source.write_text(text, encoding="utf-8")
    program = folder / "csim"
    include = kernels[0].folder.resolve() / "hls"
    command: list[str | Path] = [
        toolchain.gxx,
        *flags,
        f"-I{include}",
        f"-I{headers}",
        source,
        "-o",
        program,
    ]
    try:
        run_tool(command, folder / "csim.log", "HLS C++", cwd=folder, environment=toolchain.environment)
    except ToolError as error:
        names = blamed(kernels, error.output)
        raise ToolError(f"{names}: {error}", error.output, error.command) from None
    beside = ready.with_name(f".{os.getpid()}.{key}")
    shutil.copy(program, beside)
    os.replace(beside, ready)
    prune()
    return ready
