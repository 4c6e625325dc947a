"""Where the templates, the hand-written Verilog and the testbenches lie.

In a checkout they are folders beside the package; a wheel carries them inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
#: What there is.
FOLDERS = ("templates", "rtl", "sim")


def resource(folder: str, package: Path = _PACKAGE) -> Path:
    """The path of one of :data:`FOLDERS`; of another copy of hwnorm if its ``package`` folder is given."""
    inside = package / "_resources" / folder
    return inside if inside.is_dir() else package.parent / folder
