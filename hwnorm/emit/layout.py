"""Emitted Verilog and C++ in lines of at most ``COLUMNS``: comments, and where statements are broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

#: Columns of the longest line.
COLUMNS = 110

#: Further indentation of what goes on in another line.
_ON = 4
#: Operators by precedence, lowest first: a value is broken before all of those that bind least.
_OPERATORS = ((" ? ", " : "), (" == ", " < ", " > "), (" ^ ", " & "), (" + ", " - "), (" * ",))
_OPENING, _CLOSING = "([{", ")]}"


def commented(code: str, comment: str = "", indent: int = 2) -> str:
    """A statement with its comment behind it, or above it where both do not fit in one line.

    Args:
        code: declaration, assignment or definition in one line, without indentation.
        comment: what stands behind ``//``.
        indent: columns before it.
    """
    line = " " * indent + code + (f"  // {comment}" if comment else "")
    if len(line) <= COLUMNS:
        return line
    return "\n".join([*_lines(comment, " " * indent + "// "), *_statement(code, indent)])


def signature(name: str, parameters: Sequence[str], end: str) -> str:
    """A C++ function with its type: in one line, or a line for each parameter."""
    line = f"{name}({', '.join(parameters)}){end}"
    if len(line) <= COLUMNS:
        return line
    return f"{name}(\n{' ' * _ON}" + f",\n{' ' * _ON}".join(parameters) + f"){end}"


def remark(text: str, first: str, further: str) -> str:
    """A text of any length in a comment: what its first line begins with, and the further ones."""
    return "\n".join(_lines(text, first, further))


def listed(items: Iterable[object], indent: int) -> str:
    """Items with commas between them and behind the last one, in lines."""
    return "\n".join(_lines(", ".join(map(str, items)) + ",", " " * indent))


def _lines(text: str, first: str, further: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=first,
        subsequent_indent=first if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _statement(code: str, indent: int) -> list[str]:
    """A statement, broken behind its ``=`` if that is enough, else inside the braces around its value."""
    target, equals, value = code.partition(" = ")
    if indent + len(code) <= COLUMNS or not equals:
        return [" " * indent + code]
    braced = value.endswith("};") and all(len(_split(value, operators)) == 1 for operators in _OPERATORS)
    if braced and indent + _ON + len(value) > COLUMNS:
        first, *inner, last = _inside(value, indent)
        return [f"{' ' * indent}{target} = {first.strip()}", *inner, last]
    return [" " * indent + f"{target} =", *_pieces(value, indent + _ON)]


def _pieces(text: str, indent: int) -> list[str]:
    """A value in lines: whole, before its operators, or what is inside its brackets."""
    if indent + len(text) <= COLUMNS:
        return [" " * indent + text]
    for operators in _OPERATORS:
        parts = _split(text, operators)
        if len(parts) > 1:
            return [line for part in parts for line in _pieces(part.strip(), indent)]
    return _inside(text, indent) if set(text) & set(_OPENING) else [" " * indent + text]


def _inside(text: str, indent: int) -> list[str]:
    """A value that is one bracket, with as much as fits in each line between the opening and the closing."""
    start = min(text.find(c) for c in _OPENING if c in text)
    end = max(text.rfind(c) for c in _CLOSING)
    lines, line = [], ""
    for item in _split(text[start + 1 : end], (", ",)):
        item = item.removeprefix(", ")
        if line and indent + 2 + len(line) + 2 + len(item) + 1 > COLUMNS:
            lines.append(line + ",")
            line = item
        else:
            line = f"{line}, {item}" if line else item
    inner = [piece for each in [*lines, line] for piece in _pieces(each, indent + 2)]
    return [" " * indent + text[: start + 1], *inner, " " * indent + text[end:]]


def _split(text: str, operators: tuple[str, ...]) -> list[str]:
    """A text cut before each of the operators that stands outside of all brackets."""
    cuts, depth = [0], 0
    for i, c in enumerate(text):
        # Of a template, and no comparison: without spaces.
        angle = c in "<>" and text[i - 1 : i] != " "
        depth += c in _OPENING or (angle and c == "<")
        depth -= c in _CLOSING or (angle and c == ">")
        if depth == 0 and i and text.startswith(operators, i):
            cuts.append(i)
    return [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
