"""Where the templates, the hand-written Verilog, the testbenches and the examples lie.

In a checkout they are folders beside the package; a wheel carries them inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
#: What results depend on.
FOLDERS = ("templates", "rtl", "sim")
#: What they do not.
EXAMPLES = "examples"


def resource(folder: str, package: Path = _PACKAGE) -> Path:
    """The path of one of these folders; of another copy of hwnorm if its ``package`` folder is given."""
    inside = package / "_resources" / folder
    return inside if inside.is_dir() else package.parent / folder
