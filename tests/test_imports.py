"""The direction of imports is the one that docs/architecture.md draws: downwards alone, so in no circle."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hwnorm"
PAGE = PACKAGE.parent / "docs" / "architecture.md"


def floors() -> list[set[str]]:
    """The floors that the page draws, the lowest first: names of packages and of modules beside them."""
    block = re.search(r"```floors\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return [set(line.split()) for line in reversed(block[1].strip().splitlines())]


def rooms() -> set[str]:
    """All packages and modules that lie in hwnorm itself."""
    return {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").is_file()
    }


def imported(source: str) -> set[str]:
    """What a module imports of hwnorm, wherever in it: the names after ``hwnorm.``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "hwnorm":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("hwnorm."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("hwnorm.")}
    return found


def wrong(sources: dict[str, str], floor: dict[str, int]) -> list[str]:
    """The imports that do not run downwards: "a/b.py -> c"."""
    return [
        f"{name} -> {other}"
        for name, source in sources.items()
        for other in sorted(imported(source))
        if (own := Path(name).parts[0].removesuffix(".py")) != other and floor[own] <= floor[other]
    ]


def test_every_room_is_on_the_page_once():
    drawn = [name for floor in floors() for name in floor]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == rooms()


def test_imports_run_downwards():
    floor = {name: i for i, names in enumerate(floors()) for name in names}
    sources = {
        str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "__init__.py"  # the front door opens every floor
    }
    assert wrong(sources, floor) == []


@pytest.mark.parametrize(
    "line",
    [
        "from hwnorm.high import x",
        "import hwnorm.high.part",
        "from hwnorm import high",
        "def f():\n    from hwnorm.high.part import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hwnorm.high import x",
    ],
)
def test_an_upward_import_is_found(line):
    """However it is written; so is one on the same floor, and none that runs down or inside a package."""
    floor = {"low": 0, "beside": 1, "middle": 1, "high": 2}
    assert wrong({"middle/part.py": line}, floor) == ["middle/part.py -> high"]
    assert wrong({"middle/part.py": line.replace("high", "beside")}, floor) == ["middle/part.py -> beside"]
    assert wrong({"middle/part.py": line.replace("high", "low")}, floor) == []
    assert wrong({"middle/part.py": line.replace("high", "middle")}, floor) == []
