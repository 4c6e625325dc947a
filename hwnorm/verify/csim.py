"""HLS C++ compiled with g++ against the ap_fixed headers, all kernels in one program, run over all codes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwnorm.emit.render import render
from hwnorm.files import digest
from hwnorm.tools import ToolError, run_tool
from hwnorm.verify.cache import prune, use
from hwnorm.verify.kernel import Kernel, blamed
from hwnorm.verify.toolchain import Toolchain, ap_types, cache_folder

_FLAGS = ("-std=c++14", "-w")


def run_csim(
    kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path, optimize: str = "-O2"
) -> dict[str, np.ndarray]:
    """The output codes (int64) of every kernel's C++ for lane 0 of ``kernel.codes``, by top.

    ``optimize`` is g++'s option: a program of many kernels and few codes is not worth -O2.

    Raises:
        ToolError: g++ or the program failed.
    """
    program = _program(kernels, toolchain, folder, [optimize, *_FLAGS])
    codes = [np.ascontiguousarray(kernel.codes[:, 0]) for kernel in kernels]
    done = subprocess.run(
        [program], input=b"".join(c.tobytes() for c in codes), capture_output=True, check=False
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


def _program(kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path, flags: Sequence[str]) -> Path:
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
    text = render("verify/csim.cpp.j2", {"kernels": context})
    neutral = render("verify/csim.cpp.j2", {"kernels": [line | {"folder": "."} for line in context]})
    hls = [
        kernel.folder / "hls" / name
        for kernel in kernels
        for name in (f"{kernel.top}.cpp", f"{kernel.top}.h", "hwnorm_cells.h")
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
