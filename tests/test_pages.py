"""README.md and docs/: narrow lines, commands that there are, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import PAGES, ROOT, check_command, commands, wide

#: Words that stand for an argument of any kind, and what takes their place to be parsed.
PLACES = {"N": "1", "D": "D"}


def ids(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_no_line_is_too_long(path):
    """100 columns at most, outside of code and tables."""
    assert wide(path.read_text(encoding="utf-8")) == []


def test_a_line_that_is_too_long_is_found():
    long = "a " * 51
    fenced, table, link = f"```\n{long}\n```", f"| {long} |", f"[a]: https://{'a' * 100}"
    page = f"{long}\n\n    {long}\n\n{fenced}\n\n{table}\n\n{link}\n\n- a\n  {long}\n"
    assert wide(page) == [long, f"  {long}"]
    assert wide(f"text\n    {long}") == [f"    {long}"]  # no code: a paragraph goes on


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_every_command_is_one(path):
    """Those in blocks, parsed as the command line does."""
    for words in commands(path.read_text(encoding="utf-8")):
        check_command([PLACES.get(word, word) for word in words])


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_links_lead_somewhere(path):
    """To files of the repository, and to headings of their pages."""
    page = path.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", page):
        found = (path.parent / target) if target else path
        assert found.exists(), target
        if heading:
            text = found.read_text(encoding="utf-8")
            titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles], heading


def test_the_readme_leads_to_every_page():
    """From it each page of docs/ is one step away."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in PAGES[1:]:
        assert f"(docs/{path.name}" in readme, path.name
