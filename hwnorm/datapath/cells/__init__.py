"""The cells: every module of this package that defines one adds it to ``CELLS``.

A cell is one small piece of hardware. The set is closed and small; operators are built from it, so the
bit-true evaluation, the Verilog, the HLS code and the cost of every operator follow from those of the cells.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from hwnorm.datapath.cells.base import CellDefinition
from hwnorm.datapath.node import Cell


def _found() -> dict[Cell, CellDefinition]:
    """Cell -> its definition, in the order of ``Cell``."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found: dict[Cell, CellDefinition] = {}
    pending = CellDefinition.__subclasses__()
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        if not inspect.isabstract(kind):
            found[kind.cell] = kind()
    return {cell: found[cell] for cell in Cell}


#: What every cell is.
CELLS = _found()
