"""A package's ``manifest.json``: one schema for whoever writes it and whoever reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hwnorm.artefact import Artefact, InsideName
from hwnorm.cost.cost import Resources
from hwnorm.errors import InputError
from hwnorm.files import body, read_artefact
from hwnorm.names import TopName

MANIFEST = "manifest.json"

_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
_Format = Annotated[str, Field(pattern=r"^[su]\d{1,2}f-?\d{1,3}$")]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Positive = Annotated[int, Field(ge=1)]


class PackageManifest(Artefact):
    """What a package holds; ``files`` is every file but the manifest, with its SHA-256.

    ``rtl`` are the files that synthesis needs, ``memories`` those that the Verilog reads. The figures of
    the certificate are None where nothing is certified, or the mean and the worst code are not known.
    ``tkeep`` says whether the stage has TKEEP. ``vectors`` are the pairs of codes of ``sim/vectors.txt``,
    where there is one.
    """

    KIND = "package"

    kernel: _Name
    top: TopName
    expression: str
    note: str
    input: _Format
    output: _Format
    lanes: _Positive
    beats: _Positive
    latency: _Positive
    tkeep: bool
    parameters: dict[_Name, int]
    rtl: tuple[InsideName, ...]
    memories: tuple[InsideName, ...]
    max_error_ulp: Annotated[float, Field(ge=0)] | None
    mean_error_ulp: Annotated[float, Field(ge=0)] | None
    worst_code: int | None
    certified_codes: _Positive | None
    vectors: _Positive | None
    target: str | None
    clock_mhz: Annotated[float, Field(gt=0)] | None
    resources: Resources | None
    unfused_resources: Resources | None
    files: dict[InsideName, _Sha256]

    @model_validator(mode="after")
    def _names_what_it_lists(self) -> PackageManifest:
        for name in (*self.rtl, *self.memories, f"{self.kernel}.json"):
            if name not in self.files:
                raise ValueError(f"files: {name} is not among them")
        return self


class FoldedManifest(Artefact):
    """The manifest of a layer for which nothing is built: y = gain * x + offset is in the next layers."""

    KIND = "package"

    top: TopName
    expression: str
    folded: Literal[True]
    gain: float
    offset: float
    files: dict[InsideName, _Sha256]


def read_manifest(folder: Path) -> PackageManifest | FoldedManifest:
    """The manifest of a package.

    Raises:
        InputError: there is none, it is of another version, or a field is missing or wrong.
    """
    path = folder / MANIFEST
    told = body(read_artefact(path, PackageManifest.KIND))
    kind = FoldedManifest if told.get("folded") else PackageManifest
    return kind.of(told, path, f"`{renewal(folder)}` writes the package anew")


def hash_of(path: Path) -> str:
    """SHA-256 of a file, as a manifest holds it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_files(folder: Path, manifest: PackageManifest) -> None:
    """See that the files of a package are those that were emitted.

    Raises:
        InputError: one is missing, or is another.
    """
    fault = first_altered(folder, manifest)
    if fault is None:
        return
    again = f"`{renewal(folder)}` writes the package anew"
    if not (folder / fault).is_file():
        raise InputError(f"{folder / fault}: is missing, which the package's manifest names; {again}")
    raise InputError(
        f"{folder / fault}: is not the file that was emitted (the manifest has another SHA-256), so "
        f"nothing is said of it; `make -C {folder / 'sim'}` simulates it as it is, {again}"
    )


def first_altered(folder: Path, manifest: PackageManifest | FoldedManifest) -> str | None:
    """The first of a package's files that is missing or not as it was emitted; None if all are."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or hash_of(path) != expected:
            return name
    return None


def renewal(folder: Path) -> str:
    """The command that writes a package again: a run's, or one that stands alone."""
    if folder.name == "share" and (folder.parent / "run.json").is_file():
        return f"hwnorm share {folder.parent}"
    run = folder.parent.parent
    inside = folder.parent.name == "packages" and (run / "run.json").is_file()
    return f"hwnorm emit {run}" if inside else f"hwnorm compile ... --out {folder} --force"
