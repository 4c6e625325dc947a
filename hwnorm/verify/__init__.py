"""Verification: the emitted files against the datapath, bit for bit, and against PyTorch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnorm.verify.packages import verify_packages
    from hwnorm.verify.verdict import Verdict

__all__ = ["Verdict", "verify_packages"]

#: What is imported when it is needed, for torch comes with it: tools are looked for without.
_LAZY = {"Verdict": "hwnorm.verify.verdict", "verify_packages": "hwnorm.verify.packages"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'hwnorm.verify' has no attribute {name!r}")
