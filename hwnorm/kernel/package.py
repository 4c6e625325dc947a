"""A package read back: its manifest, its files, and the kernel that they are of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.kernel.kinds import kernel_kind
from hwnorm.kernel.manifest import MANIFEST, FoldedManifest, PackageManifest, check_files, read_manifest
from hwnorm.kernel.stream import StreamKernel


@dataclass(frozen=True)
class Package:
    """A folder whose files are those that were emitted, and the kernel that its description gives."""

    folder: Path
    manifest: PackageManifest
    kernel: StreamKernel

    @property
    def rtl(self) -> list[Path]:
        """The Verilog that synthesis needs (absolute), that of the top module first."""
        return [self.folder.resolve() / name for name in self.manifest.rtl]

    @property
    def memories(self) -> list[Path]:
        """What that Verilog reads (absolute)."""
        return [self.folder.resolve() / name for name in self.manifest.memories]


def load_package(folder: Path) -> Package:
    """Read a package.

    Raises:
        InputError: the folder holds none, or one of a layer that folds; a file of it is missing, damaged
            or not the one that was emitted; or manifest and description contradict each other.
    """
    manifest = read_manifest(folder)
    if isinstance(manifest, FoldedManifest):
        raise InputError(f"{folder}: folds into the next linear layers; there is no kernel in it")
    path = folder / f"{manifest.kernel}.json"
    try:
        kind = kernel_kind(manifest.kernel)
    except InputError as error:
        raise InputError(f"{folder / MANIFEST}: {error}") from None
    check_files(folder, manifest)
    try:
        kernel = kind.from_description(json.loads(path.read_text(encoding="utf-8")), manifest)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    _compare(folder, manifest, kernel)
    return Package(folder, manifest, kernel)


def _compare(folder: Path, manifest: PackageManifest, kernel: StreamKernel) -> None:
    """What the manifest tells again must be what the kernel says."""
    certificate = kernel.certificate
    told = {
        "expression": kernel.expression,
        "input": str(kernel.input),
        "output": str(kernel.output),
        "lanes": kernel.lanes,
        "beats": kernel.beats,
        "latency": kernel.latency,
        "tkeep": kernel.keeps,
        "parameters": kernel.parameters,
        "max_error_ulp": None if certificate is None else certificate.max_error_ulp,
        "target": kernel.target,
        "clock_mhz": kernel.clock_mhz,
    }
    for name, value in told.items():
        if getattr(manifest, name) != value:
            raise InputError(
                f"{folder / MANIFEST}: {name}: {getattr(manifest, name)!r}; "
                f"{manifest.kernel}.json says {value!r}"
            )
