"""A small kernel whose packages the tests break, and the way to break them."""

from __future__ import annotations

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
