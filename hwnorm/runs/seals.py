"""Hashes of what lies beside an artefact and belongs to it: another one tells that it was changed."""

from __future__ import annotations

import json
from pathlib import Path

from hwnorm.engine.stored import PACKAGE
from hwnorm.files import digest
from hwnorm.integers.stored import CODES
from hwnorm.kernel.manifest import MANIFEST
from hwnorm.network.replacement import WEIGHTS
from hwnorm.share.stored import PACKAGE as SHARED


def weights_seal(run: Path) -> str:
    """Of the re-aligned weights; of none, where the file is missing."""
    path = run / WEIGHTS
    return digest(path) if path.is_file() else "missing"


def codes_seal(run: Path) -> str:
    """Of the integer network's codes; of none, where the file is missing."""
    path = run / CODES
    return digest(path) if path.is_file() else "missing"


def packages_seal(run: Path) -> str:
    """Of every package's manifest and of the files that it names, not of what tools have made beside."""
    found = []
    for manifest in sorted((run / "packages").glob("*/manifest.json")):
        folder = manifest.parent
        found.append([folder.name, digest(manifest)])
        try:
            names = sorted(json.loads(manifest.read_text(encoding="utf-8")).get("files", {}))
        except (AttributeError, ValueError):
            names = []  # whoever reads the manifest says what is wrong with it
        for name in names:
            path = folder / name
            found.append([name, digest(path) if path.is_file() else "missing"])
    return digest(found)


def engine_seal(run: Path) -> str:
    """Of the engine's manifest, which has the hash of every file of its package."""
    path = run / PACKAGE / MANIFEST
    return digest(path) if path.is_file() else "missing"


def share_seal(run: Path) -> str:
    """Of the shared unit's manifest, which has the hash of every file of its package."""
    path = run / SHARED / MANIFEST
    return digest(path) if path.is_file() else "missing"
