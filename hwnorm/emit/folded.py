"""The package of a layer for which nothing is left to build: a manifest that says so."""

from __future__ import annotations

import shutil
from pathlib import Path

from hwnorm.expression import parse
from hwnorm.files import digest, write_artefact
from hwnorm.network.fold import line_of


def emit_folded(expression: str, top: str, folder: Path) -> None:
    """Write a ``manifest.json`` with ``folded``, ``gain`` and ``offset``, and remove what else is there.

    Args:
        expression: affine in x; its gain and offset are part of the linear layers that read the norm.
    """
    line = line_of(parse(expression))
    assert line is not None
    shutil.rmtree(folder, ignore_errors=True)
    body = {
        "top": top,
        "expression": expression,
        "folded": True,
        "gain": line[0],
        "offset": line[1],
        "files": {},
    }
    write_artefact(folder / "manifest.json", "package", None, digest(body), body)
