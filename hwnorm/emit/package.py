"""Writes a kernel as a package: a folder that needs nothing from hwnorm to be simulated or synthesized."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hwnorm.cost.cost import Resources
from hwnorm.datapath.ir import Certificate, Datapath
from hwnorm.datapath.serial import to_json
from hwnorm.emit.hls import hls_context
from hwnorm.emit.names import is_identifier
from hwnorm.emit.render import render
from hwnorm.emit.stimulus import codes_to_send, protocol_plan
from hwnorm.emit.verilog import comb_context, core_context
from hwnorm.errors import InputError
from hwnorm.files import SCHEMA, digest
from hwnorm.fixed import byte_bits
from hwnorm.resources import resource
from hwnorm.version import VERSION

#: Hand-written Verilog that every kernel instantiates.
RTL_PARTS = ("hwnorm_axis_skid.v", "hwnorm_axis_pipe.v")

#: What a package takes along as it is: from which resource folder, and which file of it.
COPIED = {
    **{f"rtl/{part}": ("rtl", part) for part in RTL_PARTS},
    "hls/hwnorm_cells.h": ("templates", "hls/hwnorm_cells.h"),
    "hls/hwnorm_axis.h": ("templates", "hls/hwnorm_axis.h"),
    "sim/test_codes.py": ("sim", "test_codes.py"),
    "sim/test_axis.py": ("sim", "test_axis.py"),
}


def kernel_context(datapath: Datapath, top: str, lanes: int, note: str) -> dict[str, Any]:
    """What every template of a package may name."""
    core = core_context(datapath, top)
    clocked = any(stage.registers for stage in core["stages"])
    return {
        "top": top,
        "expression": datapath.expression,
        "note": note,
        "input": datapath.input,
        "output": datapath.output,
        "in_bits": byte_bits(datapath.input),
        "out_bits": byte_bits(datapath.output),
        "lanes": lanes,
        "latency": datapath.latency,
        "error": _error(datapath.certificate),
        "target": datapath.target,
        "clock_mhz": f"{datapath.clock_mhz:g}",
        "version": VERSION,
        "note_lines": note.splitlines(),
        "rtl_parts": RTL_PARTS,
        "core": {**core, "clocked": clocked},
        "comb": comb_context(datapath, top),
        "vectors": len(codes_to_send(datapath.input, seed=0)),
    }


def _error(certificate: Certificate) -> dict[str, Any]:
    """The certificate for people: four decimals, the largest error rounded up."""
    mean = certificate.mean_error_ulp
    return {
        "largest": math.ceil(certificate.max_error_ulp * 1e4) / 1e4,
        "mean": None if mean is None else round(mean, 4),
        "worst_code": certificate.worst_code,
        "codes": certificate.codes,
    }


def emit_package(
    datapath: Datapath,
    top: str,
    folder: Path,
    *,
    lanes: int = 1,
    resources: Resources | None = None,
    unfused_resources: Resources | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Write the package of a kernel, whole or not at all, in place of the one that was there.

    Args:
        datapath: what to build.
        top: name of the Verilog module and of the C++ function.
        folder: the package's folder; it is replaced.
        lanes: default of the module's parameter ``LANES``, elements a beat.
        resources: what the cost model says of it, for the manifest.
        unfused_resources: what it says of the operators as written, without fused units.
        note: lines for the headers of the files and the manifest, such as which layer this replaces.

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
        predicted = {"resources": resources, "unfused_resources": unfused_resources}
        manifest = _fill(beside, datapath, top, lanes, predicted, note)
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
    folder: Path, datapath: Datapath, top: str, lanes: int, predicted: dict[str, Resources | None], note: str
) -> dict[str, Any]:
    context = kernel_context(datapath, top, lanes, note)
    context |= hls_context(datapath, top)
    rendered = {
        f"rtl/{top}.v": "verilog/stage.v.j2",
        f"rtl/{top}_core.v": "verilog/core.v.j2",
        f"rtl/{top}_comb.v": "verilog/comb.v.j2",
        f"hls/{top}.h": "hls/kernel.h.j2",
        f"hls/{top}.cpp": "hls/kernel.cpp.j2",
        f"hls/{top}_axis.h": "hls/axis.h.j2",
        f"hls/{top}_axis.cpp": "hls/axis.cpp.j2",
        f"hls/{top}_tb.cpp": "hls/testbench.cpp.j2",
        "hls/run_hls.tcl": "hls/run_hls.tcl.j2",
        f"sim/{top}_tb.v": "sim/testbench.v.j2",
        "sim/Makefile": "sim/Makefile.j2",
        f"{top}.core": "package/fusesoc.core.j2",
        "README.md": "package/README.md.j2",
    }
    for name in ("rtl", "hls", "sim"):
        (folder / name).mkdir()
    for name, template in rendered.items():
        (folder / name).write_text(render(template, context), encoding="utf-8")
    for name, (place, part) in COPIED.items():
        shutil.copyfile(resource(place) / part, folder / name)
    (folder / "datapath.json").write_text(json.dumps(to_json(datapath), indent=1) + "\n", encoding="utf-8")
    plan = protocol_plan(datapath, top, lanes, datapath.latency, prefix="", seed=0)
    (folder / "sim" / "plan.json").write_text(
        json.dumps({"seed": 0, "kernels": [plan]}) + "\n", encoding="utf-8"
    )
    (folder / "sim" / "vectors.txt").write_text(_vectors(datapath), encoding="ascii")
    manifest = _manifest(folder, datapath, top, lanes, predicted, note)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _vectors(datapath: Datapath) -> str:
    """Input code and output code, one pair a line: what every testbench of the package reads."""
    codes = codes_to_send(datapath.input, seed=0)
    pairs = zip(codes.tolist(), datapath.evaluate(codes).tolist(), strict=True)
    return "".join(f"{code} {result}\n" for code, result in pairs)


def _manifest(
    folder: Path,
    datapath: Datapath,
    top: str,
    lanes: int,
    predicted: dict[str, Resources | None],
    note: str,
) -> dict[str, Any]:
    return {
        "kind": "package",
        "schema": SCHEMA,
        "hwnorm_version": VERSION,
        "made_from": digest(to_json(datapath)),
        "top": top,
        "expression": datapath.expression,
        "note": note,
        "input": str(datapath.input),
        "output": str(datapath.output),
        "lanes": lanes,
        "latency": datapath.latency,
        "max_error_ulp": datapath.certificate.max_error_ulp,
        "mean_error_ulp": datapath.certificate.mean_error_ulp,
        "worst_code": datapath.certificate.worst_code,
        "certified_codes": datapath.certificate.codes,
        "target": datapath.target,
        "clock_mhz": datapath.clock_mhz,
        **{key: None if value is None else value.to_json() for key, value in predicted.items()},
        "files": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
