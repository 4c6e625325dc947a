"""A small kernel whose packages the tests break, and the way to break them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node
from hwnorm.fixed import FixedFormat


def offset_kernel() -> Datapath:
    """y = x + 0.25, exact: an expression that PyTorch can check."""
    narrow, wide = FixedFormat(8, 4), FixedFormat(9, 4)
    nodes = (
        Node(Cell.INPUT, (), narrow, "x", "x"),
        Node(Cell.CONSTANT, (), narrow, "offset", "0.25", parameter=4),
        Node(Cell.ADD, (0, 1), wide, "total", "x + 0.25", stage=1),
    )
    return Datapath("x + 0.25", narrow, wide, nodes, 2, "none", 100.0, Certificate(0.0, 0.0, 0, 256))


def change(file: Path, old: str, new: str) -> None:
    """Replace the one place where ``old`` stands."""
    text = file.read_text()
    assert text.count(old) == 1, (file, text.count(old))
    file.write_text(text.replace(old, new))


def fault(package: Path, name: str, old: str, new: str) -> None:
    """Change a file as a faulty emitter would have written it: the manifest has its hash."""
    change(package / name, old, new)
    sign(package)


def sign(package: Path) -> None:
    """Write the hashes of the files as they are now into the manifest."""
    path = package / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {
        name: hashlib.sha256((package / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    path.write_text(json.dumps(manifest, indent=1) + "\n")
