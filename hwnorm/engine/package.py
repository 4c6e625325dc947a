"""An engine as a package: a folder that needs nothing of hwnorm to be simulated."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnorm.emit.hls import PARTS
from hwnorm.emit.package import written_beside
from hwnorm.emit.render import render
from hwnorm.engine import registers
from hwnorm.engine.cycles import predict
from hwnorm.engine.devices import DEVICES
from hwnorm.engine.emit import memories, parameters, pixels_a_beat, sources
from hwnorm.engine.handover import VECTORS, handover
from hwnorm.engine.hls import hls_sources
from hwnorm.engine.memories import weight_stream
from hwnorm.engine.program import Program
from hwnorm.engine.space import Candidate
from hwnorm.engine.stored import EngineManifest, EngineParameters
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.kernel.manifest import MANIFEST
from hwnorm.version import VERSION


def emit_engine(
    candidate: Candidate, images: npt.NDArray[np.floating], folder: Path, clock_mhz: float
) -> EngineManifest:
    """Write the package, whole or not at all, in place of the one that was there.

    Args:
        candidate: the engine and its program.
        images: normalized images (n, C, H, W) that the package's own simulation runs.
        folder: the package's folder; it is replaced.
        clock_mhz: what is assumed of the clock; the script for Vitis HLS asks for it.

    Raises:
        InputError: ``folder`` is a file, or a folder that is no package.
    """
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder}: is no package of an engine, and would be replaced; move it away")
    program = candidate.program
    with written_beside(folder) as beside:
        files = _files(candidate, images, clock_mhz)
        for name, content in files.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        manifest = EngineManifest(
            engine=EngineParameters.of(program.engine),
            parameters=parameters(program),
            cycles=candidate.cycles,
            clock_mhz=clock_mhz,
            resources=candidate.resources,
            vectors=len(images),
            beats=len(files["program/weights.bin"]) // (program.engine.beat // 8),
            pixels=pixels_a_beat(program),
            files={name: digest(beside / name) for name in files},
        )
        manifest.write(beside / MANIFEST, None, {"engine": digest(manifest.to_json())})
    return manifest


def read_engine(folder: Path) -> EngineManifest:
    """The manifest of a package whose files are those that it names.

    Raises:
        InputError: there is none, or a file is missing or another one; names it.
    """
    manifest = EngineManifest.read(folder / MANIFEST, "`hwnorm engine` makes it again")
    for name, seal in manifest.files.items():
        path = folder / name
        if not path.is_file() or digest(path) != seal:
            what = "changed since it was written" if path.is_file() else "missing"
            raise InputError(f"{path}: {what}; `hwnorm engine` writes the package again")
    return manifest


def holds_engine(folder: Path) -> bool:
    """Whether a folder's manifest is that of an engine, whatever else may be wrong with it."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("kind") == EngineManifest.KIND


def rtl_of(folder: Path, manifest: EngineManifest) -> dict[str, str]:
    """The Verilog of a package, by name."""
    return {
        os.path.basename(name): (folder / name).read_text(encoding="utf-8")
        for name in manifest.files
        if name.startswith("rtl/")
    }


def program_files(program: Program, images: npt.NDArray[np.floating]) -> dict[str, bytes]:
    """The files of the folder ``program/``, by name: memories, weights, images and what comes of them.

    A line of ``expected.txt`` is an image that is run by itself: cycles, busy, stall, and its logits' codes.
    """
    network = program.network
    (alone,) = predict(program, 1)
    expected = "".join(
        " ".join(map(str, (*alone.counters, *logits))) + "\n" for logits in network.evaluate(images)
    )
    texts = memories(program) | {"expected.txt": expected}
    return {name: text.encode() for name, text in texts.items()} | {
        "weights.bin": weight_stream(program).tobytes(),
        "images.bin": (network.pixels.codes(images) + 128).astype(np.uint8).tobytes(),
    }


def _files(candidate: Candidate, images: npt.NDArray[np.floating], clock_mhz: float) -> dict[str, bytes]:
    program = candidate.program
    data = program_files(program, images)
    rtl, mem = sources(program), [name for name in data if name not in VECTORS]
    context = {
        "engine": program.engine,
        "version": VERSION,
        "target": f"{DEVICES[program.engine.device]} at {clock_mhz:g} MHz",
        "vivado": program.engine.device in PARTS,
        "vectors": len(images),
        "image_bytes": len(data["images.bin"]) // len(images),
        "classes": program.sizes.classes,
        "beat": program.engine.beat // 8,
        "beats": len(data["weights.bin"]) // (program.engine.beat // 8),
        "pixels": pixels_a_beat(program),
        "cycles": candidate.cycles,
        "utilisation": candidate.utilisation,
        "weight_bytes": len(data["weights.bin"]),
        "rtl": list(rtl),
        "memories": mem,
        "program": [*mem, *VECTORS],
    }
    texts = {f"rtl/{name}": text for name, text in rtl.items()}
    texts |= {f"hls/{name}": text for name, text in hls_sources(program, clock_mhz, len(images)).items()}
    texts["sim/Makefile"] = render("engine/Makefile.j2", context)
    texts["sim/hwnorm_engine_tb.cpp"] = render("engine/testbench.cpp.j2", context)
    texts["README.md"] = render("engine/README.md.j2", context)
    texts |= {f"driver/{name}": text for name, text in registers.render().items() if not name.endswith(".v")}
    texts |= handover(program, list(rtl), mem, len(data["weights.bin"]), clock_mhz)
    return {name: text.encode() for name, text in texts.items()} | {
        f"program/{name}": content for name, content in data.items()
    }
