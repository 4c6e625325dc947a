"""What the HLS templates need to know about each cell, and about the device."""

from __future__ import annotations

from typing import Any

from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.ir import Cell, Datapath
from hwnorm.emit.names import Comments, Names

#: The device that ``run_hls.tcl`` names for a target: the one on its board.
PARTS = {"xcup": "xczu9eg-ffvb1156-2-e"}

#: Words that ap_fixed's headers or the kernel itself use.
_TAKEN = ("x", "y", "code", "main", "rom")


def hls_context(datapath: Datapath, top: str) -> dict[str, Any]:
    """The cells in order as ``hls/kernel.cpp.j2`` wants them, named as in Verilog."""
    names = Names((*_TAKEN, top, f"{top}_axis"))
    x = "x" if datapath.input.signed else names.take("x_signed")
    known = [x if n.cell is Cell.INPUT else names.take(n.name) for n in datapath.nodes]
    comments = Comments(datapath, known)
    cells = []
    for i, node in enumerate(datapath.nodes):
        if node.cell is Cell.INPUT:
            continue
        formats = [datapath.nodes[arg].fmt for arg in node.args]
        args = [known[arg] for arg in node.args]
        line: dict[str, Any] = {
            "kind": node.cell.value,
            "name": known[i],
            "fmt": node.fmt,
            "comment": comments.of(i, args),
            "args": args,
            "parameter": node.parameter,
            "rounding": {"trn": "AP_TRN", "rnd": "AP_RND"}[node.rounding],
            "overflow": {"wrap": "AP_WRAP", "sat": "AP_SAT"}[node.overflow],
        }
        cells.append(line | CELLS[node.cell].hls(node, known[i], formats, names.take))
    return {"cells": cells, "x_signal": x, "result": known[-1]}
