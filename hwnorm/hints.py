"""What a formula of another tool or of a paper is written as here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

#: Names of functions elsewhere -> how they are written here.
_FUNCTIONS = {
    "inv": "1/x is reciprocal(x)",
    "inverse": "1/x is reciprocal(x)",
    "div": "division is a / b",
    "log": "log(x) is 0.6931471805599453*log2(x)",
    "ln": "ln(x) is 0.6931471805599453*log2(x)",
    "log10": "log10(x) is 0.3010299956639812*log2(x)",
    "log1p": "log1p(x) is 0.6931471805599453*log2(1 + x)",
    "expm1": "expm1(x) is exp(x) - 1",
    "pow": "x*x is square(x)",
    "power": "x*x is square(x)",
    "sqr": "x*x is square(x)",
    "cube": "a cube is x*square(x)",
    "sgn": "a sign is select(x, 1, -1)",
    "sign": "a sign is select(x, 1, -1)",
    "where": "a choice by sign is select(x, a, b)",
    "clamp": "clamp is clip(x, low, high)",
    "htanh": "it is hardtanh(x)",
    "logistic": "it is sigmoid(x)",
    "silu": "silu(x) is x*sigmoid(x)",
    "swish": "swish(x) is x*sigmoid(x)",
    "gelu": "gelu(x) is 0.5*x*(1 + erf(0.7071067811865476*x))",
    "relu6": "relu6(x) is clip(x, 0, 6)",
    "softsign": "softsign(x) is x/(1 + abs(x))",
}
#: Characters that are pasted from papers and mails -> what is typed for them.
_CHARACTERS = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{MULTIPLICATION SIGN}": "*",
    "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*",
    "\N{ASTERISK OPERATOR}": "*",
    "\N{DIVISION SIGN}": "/",
    "\N{DIVISION SLASH}": "/",
    "\N{SUPERSCRIPT TWO}": "square(...)",
}


def of_function(name: str, known: Collection[str]) -> str:
    """What to write for a function that is not known, behind a colon; nothing where none is like it."""
    plain = name.lower().removeprefix("protected").strip("_")
    if plain in _FUNCTIONS:
        return f": {_FUNCTIONS[plain]}"
    if plain in known:
        return f": it is {plain}"
    close = difflib.get_close_matches(plain, known, n=1, cutoff=0.75)
    return f": {close[0]} is like it" if close else ""


def of_variable(name: str) -> str:
    """What to write for a name that is not known."""
    return "; write x" if re.fullmatch(r"[xX]_?[0-9]*|ARG[0-9]+", name) else ""


def of_character(text: str) -> tuple[int, str] | None:
    """Place of the first character that only looks like an operator, and what to type instead."""
    for place, letter in enumerate(text):
        if letter in _CHARACTERS:
            return place, f"U+{ord(letter):04X} {letter!r} stands in no formula; write {_CHARACTERS[letter]}"
    return None


def of_syntax(text: str) -> str:
    """What to write for a piece of text that is no formula, behind a colon; nothing where it is not known."""
    if re.search(r"\^|\*\*", text):
        return ": x to the power of 2 is square(x)"
    if re.search(r"\b(np|numpy|torch|math|jnp|F)\.", text):
        return ": operators stand alone, as tanh(x)"
    if re.search(r"\d, ?\d", text):
        return ": a decimal point is a point"
    return ""
