"""The package of a layer for which nothing is left to build: a manifest that says so."""

from __future__ import annotations

import shutil
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.files import digest
from hwnorm.kernel.manifest import MANIFEST, FoldedManifest
from hwnorm.names import kernel_name
from hwnorm.network.fold import line_of


def emit_folded(expression: str, top: str, folder: Path) -> None:
    """Write a ``manifest.json`` with ``folded``, ``gain`` and ``offset``, and remove what else is there.

    Args:
        expression: affine in x; its gain and offset are part of the linear layers that read the norm.
        top: what its Verilog module would be called.
        folder: the package's folder; it is replaced.

    Raises:
        InputError: ``top`` is no name for a module, or the expression is not affine.
    """
    try:
        kernel_name(top)
    except ValueError as error:
        raise InputError(str(error)) from None
    line = line_of(parse(expression))
    if line is None:
        raise InputError(f"{top}: {expression!r} is not affine; only a gain and an offset fold")
    shutil.rmtree(folder, ignore_errors=True)
    manifest = FoldedManifest(
        top=top, expression=expression, folded=True, gain=line[0], offset=line[1], files={}
    )
    manifest.write(folder / MANIFEST, None, {"expression": digest(expression)})
