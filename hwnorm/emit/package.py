"""Writes a kernel as a package: a folder that needs nothing from hwnorm to be simulated or synthesized."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import to_json
from hwnorm.emit.hls import hls_context
from hwnorm.emit.names import is_identifier
from hwnorm.emit.render import render
from hwnorm.emit.stimulus import byte_bits, protocol_plan
from hwnorm.emit.verilog import core_context
from hwnorm.errors import InputError
from hwnorm.files import SCHEMA, digest
from hwnorm.resources import resource
from hwnorm.version import VERSION

#: Hand-written Verilog that every kernel instantiates.
RTL_PARTS = ("hwnorm_axis_skid.v", "hwnorm_axis_pipe.v")

#: Testbench parts, the same ones that ``hwnorm verify`` runs.
SIM_PARTS = ("hwnorm_sweep.v", "test_axis.py")

#: Up to this input width a package carries the result of every code, for its self-checking testbench.
GOLDEN_WIDTH = 16


def kernel_context(datapath: Datapath, top: str, lanes: int, note: str) -> dict[str, Any]:
    """What every template of a package may name."""
    core = core_context(datapath, top)
    clocked = any(stage.registers for stage in core["stages"])
    certificate = datapath.certificate
    return {
        "top": top,
        "expression": datapath.expression,
        "input": datapath.input,
        "output": datapath.output,
        "in_bits": byte_bits(datapath.input),
        "out_bits": byte_bits(datapath.output),
        "lanes": lanes,
        "latency": datapath.latency,
        "certificate": certificate,
        "target": datapath.target,
        "clock_mhz": f"{datapath.clock_mhz:g}",
        "version": VERSION,
        "note_lines": note.splitlines(),
        "rtl_parts": RTL_PARTS,
        "core": {**core, "clocked": clocked},
        "golden": datapath.input.width <= GOLDEN_WIDTH,
    }


def emit_package(
    datapath: Datapath,
    top: str,
    folder: Path,
    *,
    lanes: int = 1,
    resources: dict[str, float] | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Write the package of a kernel, whole or not at all, in place of the one that was there.

    Args:
        datapath: what to build.
        top: name of the Verilog module and of the C++ function.
        folder: the package's folder; it is replaced.
        lanes: default of the module's parameter ``LANES``, elements a beat.
        resources: what synthesis or the cost model says, for the manifest.
        note: lines for the headers of the files, such as which layer this replaces.

    Returns:
        The manifest, as in the package's ``manifest.json``.

    Raises:
        InputError: ``top`` is no name for a module, ``lanes`` is not positive, or ``folder`` is a file.
    """
    if not is_identifier(top):
        raise InputError(f"top {top!r}: not a name for a Verilog module (letters, digits, _; no keyword)")
    if lanes < 1:
        raise InputError(f"lanes {lanes}: at least 1 is needed")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; a package is a folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        beside.chmod(0o755)
        manifest = _fill(beside, datapath, top, lanes, resources or {}, note)
        _swap(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def _swap(new: Path, folder: Path) -> None:
    """Put ``new`` where ``folder`` is; the old one is gone only once the new one is in place."""
    if not folder.exists():
        os.rename(new, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent)) / "old"
    os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(old, folder)
        raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)


def _fill(
    folder: Path, datapath: Datapath, top: str, lanes: int, resources: dict[str, float], note: str
) -> dict[str, Any]:
    context = kernel_context(datapath, top, lanes, note)
    context |= hls_context(datapath, top)
    rendered = {
        f"rtl/{top}.v": "verilog/stage.v.j2",
        f"rtl/{top}_core.v": "verilog/core.v.j2",
        f"hls/{top}.h": "hls/kernel.h.j2",
        f"hls/{top}.cpp": "hls/kernel.cpp.j2",
        f"hls/{top}_tb.cpp": "hls/testbench.cpp.j2",
        f"sim/{top}_tb.v": "sim/testbench.v.j2",
        "sim/Makefile": "sim/Makefile.j2",
        "README.md": "package/README.md.j2",
    }
    copied = {f"rtl/{part}": resource("rtl") / part for part in RTL_PARTS}
    copied["hls/hwnorm_cells.h"] = resource("templates") / "hls" / "hwnorm_cells.h"
    copied |= {f"sim/{part}": resource("sim") / part for part in SIM_PARTS}
    for name in ("rtl", "hls", "sim"):
        (folder / name).mkdir()
    for name, template in rendered.items():
        (folder / name).write_text(render(template, context), encoding="utf-8")
    for name, source in copied.items():
        shutil.copyfile(source, folder / name)
    (folder / "datapath.json").write_text(json.dumps(to_json(datapath), indent=1) + "\n", encoding="utf-8")
    plan = protocol_plan(datapath, top, lanes, datapath.latency, prefix="", seed=0)
    (folder / "sim" / "plan.json").write_text(
        json.dumps({"seed": 0, "kernels": [plan]}) + "\n", encoding="utf-8"
    )
    if context["golden"]:
        _write_golden(folder / "sim" / "golden.hex", datapath)
    manifest = _manifest(folder, datapath, top, lanes, resources)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _write_golden(path: Path, datapath: Datapath) -> None:
    """The output code of every input code, in the order of the input's bits read as unsigned."""
    codes = np.arange(1 << datapath.input.width, dtype=np.int64)
    signed = np.where(codes > datapath.input.max_code, codes - (1 << datapath.input.width), codes)
    path.write_text(hex_lines(datapath.evaluate(signed), datapath.output.width), encoding="ascii")


def hex_lines(codes: np.ndarray, width: int) -> str:
    """Codes as two's complement in hexadecimal, one a line: what ``$readmemh`` reads."""
    digits = (width + 3) // 4
    return "".join(f"{code:0{digits}x}\n" for code in (codes & ((1 << width) - 1)).tolist())


def _manifest(
    folder: Path, datapath: Datapath, top: str, lanes: int, resources: dict[str, float]
) -> dict[str, Any]:
    return {
        "kind": "package",
        "schema": SCHEMA,
        "hwnorm_version": VERSION,
        "made_from": digest(to_json(datapath)),
        "top": top,
        "expression": datapath.expression,
        "input": str(datapath.input),
        "output": str(datapath.output),
        "lanes": lanes,
        "latency": datapath.latency,
        "max_error_ulp": datapath.certificate.max_error_ulp,
        "mean_error_ulp": datapath.certificate.mean_error_ulp,
        "certified_codes": datapath.certificate.codes,
        "target": datapath.target,
        "clock_mhz": datapath.clock_mhz,
        "resources": resources,
        "files": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
