"""An engine as a package: a folder that needs nothing of hwnorm to be simulated."""

from __future__ import annotations

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
from hwnorm.engine.memories import weight_stream
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
        clock_mhz: what is assumed of the clock.

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


def rtl_of(folder: Path, manifest: EngineManifest) -> dict[str, str]:
    """The Verilog of a package, by name."""
    return {
        os.path.basename(name): (folder / name).read_text(encoding="utf-8")
        for name in manifest.files
        if name.startswith("rtl/")
    }


def _files(candidate: Candidate, images: npt.NDArray[np.floating], clock_mhz: float) -> dict[str, bytes]:
    program, network = candidate.program, candidate.program.network
    weights = weight_stream(program).tobytes()
    pixels = (network.pixels.codes(images) + 128).astype(np.uint8).tobytes()
    rtl, mem = sources(program), memories(program)
    # Each image is run by itself.
    (alone,) = predict(program, 1)
    expected = "".join(
        " ".join(map(str, (*alone.counters, *logits))) + "\n" for logits in network.evaluate(images)
    )
    context = {
        "engine": program.engine,
        "version": VERSION,
        "target": f"{DEVICES[program.engine.device]} at {clock_mhz:g} MHz",
        "vivado": program.engine.device in PARTS,
        "vectors": len(images),
        "image_bytes": len(pixels) // len(images),
        "classes": program.sizes.classes,
        "beat": program.engine.beat // 8,
        "beats": len(weights) // (program.engine.beat // 8),
        "pixels": pixels_a_beat(program),
        "cycles": candidate.cycles,
        "utilisation": candidate.utilisation,
        "weight_bytes": len(weights),
        "rtl": list(rtl),
        "memories": list(mem),
        "program": [*mem, *VECTORS],
    }
    texts = {f"rtl/{name}": text for name, text in rtl.items()}
    texts |= {f"program/{name}": text for name, text in mem.items()}
    texts["program/expected.txt"] = expected
    texts["sim/Makefile"] = render("engine/Makefile.j2", context)
    texts["sim/hwnorm_engine_tb.cpp"] = render("engine/testbench.cpp.j2", context)
    texts["README.md"] = render("engine/README.md.j2", context)
    texts |= {f"driver/{name}": text for name, text in registers.render().items() if not name.endswith(".v")}
    texts |= handover(program, list(rtl), list(mem), len(weights), clock_mhz)
    return {name: text.encode() for name, text in texts.items()} | {
        "program/weights.bin": weights,
        "program/images.bin": pixels,
    }
