"""Writes a kernel as a package: a folder that needs nothing from hwnorm to be simulated or synthesized."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwnorm.cost.cost import Resources
from hwnorm.datapath.ir import Datapath
from hwnorm.emit.render import render
from hwnorm.emit.stage import DatapathStage
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.kernel.manifest import MANIFEST, PackageManifest, hash_of
from hwnorm.kernel.stimulus import protocol_plan
from hwnorm.kernel.stream import StreamKernel
from hwnorm.names import kernel_name
from hwnorm.resources import resource
from hwnorm.version import VERSION

#: The page and the makefile of a kernel that brings none of its own.
_PLAIN = {"README.md": "package/stream.md.j2", "sim/Makefile": "sim/stream.mk.j2"}


def emit_package(
    datapath: Datapath,
    top: str,
    folder: Path,
    *,
    lanes: int = 1,
    resources: Resources | None = None,
    unfused_resources: Resources | None = None,
    note: str = "",
) -> PackageManifest:
    """Write the package of a datapath's stage, as :func:`emit_kernel` does.

    Args:
        datapath: what to build.
        top: name of the Verilog module and of the C++ function.
        folder: the package's folder; it is replaced.
        lanes: default of the module's parameter ``LANES``, elements a beat.
        resources: what the cost model says of it, for the manifest.
        unfused_resources: what it says of the operators as written, without fused units.
        note: lines for the headers of the files and the manifest, such as which layer this replaces.

    Raises:
        InputError: ``top`` is no name for a module, ``lanes`` is not positive, or ``folder`` is a file.
    """
    stage = DatapathStage(datapath, top, lanes, note)
    return emit_kernel(stage, folder, resources=resources, unfused_resources=unfused_resources)


def emit_kernel(
    kernel: StreamKernel,
    folder: Path,
    *,
    resources: Resources | None = None,
    unfused_resources: Resources | None = None,
) -> PackageManifest:
    """Write the package of a kernel, whole or not at all, in place of the one that was there.

    Args:
        kernel: what to write.
        folder: the package's folder; it is replaced.
        resources: what the cost model says of it, for the manifest.
        unfused_resources: what it says of a datapath's operators as written, without fused units.

    Returns:
        The manifest, as in the package's ``manifest.json``.

    Raises:
        InputError: the kernel's ``top`` is a word of Verilog or C++, or ``folder`` is a file.
    """
    try:
        kernel_name(kernel.top)
    except ValueError as error:
        raise InputError(str(error)) from None
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; a package is a folder")
    with written_beside(folder) as beside:
        _fill(beside, kernel)
        manifest = _manifest(beside, kernel, resources, unfused_resources)
        manifest.write(beside / MANIFEST, None, {"kernel": digest(kernel.description())})
    return manifest


@contextmanager
def written_beside(folder: Path) -> Iterator[Path]:
    """A new folder, put in the place of ``folder`` once all is written; where that fails nothing is left.

    Where ``folder`` is a link, that stays, and what it leads to is replaced.
    """
    if folder.is_symlink():
        folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        beside.chmod(0o755)
        yield beside
        put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def put_in_place(new: Path, folder: Path) -> None:
    """Put ``new``, which lies beside, where ``folder`` is; the old one goes only once it is in place."""
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


def _fill(folder: Path, kernel: StreamKernel) -> None:
    plan = {"seed": 0, "kernels": [protocol_plan(kernel, prefix="", seed=0)]}
    rtl, memories = kernel.sources(), kernel.memories()
    texts = {f"rtl/{name}": text for name, text in (rtl | memories).items()}
    texts[f"{kernel.kind}.json"] = json.dumps(kernel.description(), indent=1) + "\n"
    texts["sim/plan.json"] = json.dumps(plan) + "\n"
    for name in ("test_axis.py", "check_results.py"):
        texts[f"sim/{name}"] = (resource("sim") / name).read_text(encoding="utf-8")
    texts |= kernel.files()
    tests = [Path(name).stem for name in texts if name.startswith("sim/test_")]
    context = {"kernel": kernel, "rtl": list(rtl), "memories": list(memories), "version": VERSION} | {
        "tests": ",".join(tests)
    }
    texts |= {name: render(template, context) for name, template in _PLAIN.items() if name not in texts}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _manifest(
    folder: Path, kernel: StreamKernel, resources: Resources | None, unfused_resources: Resources | None
) -> PackageManifest:
    certified, vectors = kernel.certificate, folder / "sim" / "vectors.txt"
    return PackageManifest(
        kernel=kernel.kind,
        top=kernel.top,
        expression=kernel.expression,
        note=kernel.note,
        input=str(kernel.input),
        output=str(kernel.output),
        lanes=kernel.lanes,
        beats=kernel.beats,
        latency=kernel.latency,
        tkeep=kernel.keeps,
        parameters=kernel.parameters,
        rtl=tuple(f"rtl/{name}" for name in kernel.sources()),
        memories=tuple(f"rtl/{name}" for name in kernel.memories()),
        max_error_ulp=None if certified is None else certified.max_error_ulp,
        mean_error_ulp=None if certified is None else certified.mean_error_ulp,
        worst_code=None if certified is None else certified.worst_code,
        certified_codes=None if certified is None else certified.codes,
        vectors=len(vectors.read_bytes().splitlines()) if vectors.is_file() else None,
        target=kernel.target,
        clock_mhz=kernel.clock_mhz,
        resources=resources,
        unfused_resources=unfused_resources,
        files={
            str(path.relative_to(folder)): hash_of(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    )
