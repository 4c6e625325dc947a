"""A node of a datapath: one cell and the signal that it drives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hwnorm.fixed import FixedFormat, Overflow, Rounding


class Cell(StrEnum):
    """The names of the cells; what each means stands in its module of :mod:`hwnorm.datapath.cells`."""

    INPUT = "input"
    CONSTANT = "constant"
    ADD = "add"
    SUB = "sub"
    NEG = "neg"
    ABS = "abs"
    MIN = "min"
    MAX = "max"
    MUL = "mul"
    SHIFT = "shift"
    RESIZE = "resize"
    TABLE = "table"
    LOW_BITS = "low_bits"
    FLOAT_CODE = "float_code"
    COMPLEMENT_IF = "complement_if"
    SELECT = "select"
    GATE = "gate"


@dataclass(frozen=True, slots=True)
class Node:
    """One cell and the signal that it drives.

    ``args`` are indices of earlier nodes. ``rounding`` and ``overflow`` matter for ``RESIZE`` alone:
    all other cells are exact, their format holds every value that occurs. ``stage`` is the pipeline
    stage (0 first) in which the cell is computed; a signal that is used in a later stage is carried
    there in registers. ``name`` is the signal's name in Verilog and C++, ``part`` the piece of the
    expression that it computes or helps to. ``purpose`` is what it is for, in words, where its cell does
    not say it; ``{name}`` in it stands for the signal of the node of that name.
    """

    cell: Cell
    args: tuple[int, ...]
    fmt: FixedFormat
    name: str
    part: str
    parameter: int = 0
    table: tuple[int, ...] = ()
    rounding: Rounding = "trn"
    overflow: Overflow = "wrap"
    stage: int = 0
    purpose: str = ""

    def purpose_with(self, signals: Mapping[str, str]) -> str:
        """Its purpose, with what ``signals`` has for the names of nodes in it."""
        return re.sub(r"{(\w+)}", lambda match: signals.get(match[1], match[1]), self.purpose)
