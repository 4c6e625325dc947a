"""What a page of Markdown holds: its blocks of code, the commands in them, and its prose."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from hwnorm.cli import app

ROOT = Path(__file__).parents[1]
#: The pages that people read first.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A block of code: what its fence calls it, the empty string for an indented one, and its text."""

    language: str
    text: str


def parts(page: str) -> Iterator[tuple[bool, str, str]]:
    """Each line of a page: whether it is code, the language of its block, and the line."""
    fence: str | None = None
    prose = False
    for line in page.splitlines():
        if line.lstrip().startswith("```"):
            fence = line.strip().strip("`") if fence is None else None
            prose = False
        elif fence is not None:
            yield True, fence, line
        else:
            indented = line.startswith("    ") and not prose
            prose = bool(line.strip()) and not indented
            yield indented, "", line


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


def commands(page: str) -> list[list[str]]:
    """The words of every command ``hwnorm`` in the code of a page, comments left out."""
    found = []
    for code, language, line in parts(page):
        if not code or language not in ("", "sh"):
            continue
        for part in re.split(r"&&|\||;", line.strip()):
            if part.strip().startswith("hwnorm "):
                found.append(shlex.split(part, comments=True)[1:])
    return found


def check_command(words: list[str]) -> None:
    """Parse a command as the command line does, without running it.

    Raises:
        ValueError: there is no such command, argument or option, or a value is none that it takes.
    """
    known = typer.main.get_command(app).commands
    if words[0] not in known:
        raise ValueError(f"hwnorm {words[0]}: there is no such command")
    try:
        known[words[0]].make_context(words[0], words[1:])
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise ValueError(f"hwnorm {shlex.join(words)}: {error.format_message()}") from None


def wide(page: str, most: int = 100) -> list[str]:
    """Lines longer than ``most`` columns, but those of code, of tables, and links that stand alone."""
    return [
        line
        for code, _, line in parts(page)
        if not code and len(line) > most and not line.startswith("|") and not re.match(r"\[.*\]: ", line)
    ]
