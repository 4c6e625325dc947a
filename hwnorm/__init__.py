"""hwnorm: streaming stand-ins for the norm layers of a trained vision transformer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnorm.version import VERSION as __version__

if TYPE_CHECKING:
    from hwnorm.api import integer, run
    from hwnorm.network.replacement import realigned, replace
    from hwnorm.stages.compile import compile

__all__ = ["__version__", "compile", "integer", "realigned", "replace", "run"]

#: What is imported when it is needed, for torch comes with it: the command line answers --help without.
_LAZY = {
    "compile": "hwnorm.stages.compile",
    "integer": "hwnorm.api",
    "realigned": "hwnorm.network.replacement",
    "replace": "hwnorm.network.replacement",
    "run": "hwnorm.api",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'hwnorm' has no attribute {name!r}")
