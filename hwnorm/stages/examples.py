"""The examples that hwnorm brings: scripts in cells, which editors and jupytext show as notebooks."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.files import write_text
from hwnorm.resources import EXAMPLES, resource


def titles() -> dict[str, str]:
    """Name -> the title of each example, by name."""
    found = {}
    for path in sorted(resource(EXAMPLES).glob("*.py")):
        title = re.search(r"^# # (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        found[path.stem] = title[1] if title else path.stem
    return found


def write_example(name: str, out: Path | None = None) -> Path:
    """Write an example and return where: at ``out``, else as ``NAME.py`` in the current folder.

    Raises:
        InputError: there is none of that name, or something is there already.
    """
    known = titles()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"example {name!r}: there is none; there are {', '.join(known)}{hint}")
    path = Path(f"{name}.py") if out is None else out
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: is there already; --out names another file")
    if not path.parent.is_dir():
        raise InputError(f"option --out: {path.parent}: no folder")
    write_text(path, (resource(EXAMPLES) / f"{name}.py").read_text(encoding="utf-8"))
    return path
