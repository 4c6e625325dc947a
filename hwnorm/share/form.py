"""The names of the ways to build a unit of functions."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """How the functions are built."""

    #: One table of all of them, in logic: what differs is where a code's place is.
    TABLES = "tables"
    #: Each one's own cells, and a choice of their results.
    KERNELS = "kernels"
    #: One memory of tables, which may be written at run time.
    LOADED = "loaded"
