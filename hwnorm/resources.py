"""Where the templates, the hand-written Verilog and the testbenches lie.

In a checkout they are folders beside the package; a wheel carries them inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource(folder: str) -> Path:
    """The path of ``templates``, ``rtl`` or ``sim``."""
    inside = _PACKAGE / "_resources" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder
