"""The address of a study's storage, which may hold a password: what may be shown and written of it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

#: What stands for user, password and options of an address.
HIDDEN = "***"

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://.*", re.DOTALL)


def masked(url: str) -> str:
    """An address without its user, its password and its options: scheme, host and database.

    Passwords hold whatever people write, ``@``, ``/`` and ``?`` unescaped among it: where it cannot be told
    what is what, only the scheme is left. The result of a masked one is the same again.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    login, at, place = rest.rpartition("@") if not rest.startswith("/") else ("", "", rest)
    if "?" in login:
        return f"{scheme}{mark}{HIDDEN}"
    if at:
        place = f"{HIDDEN}@{place}"
    place, asked, _ = place.partition("?")
    return f"{scheme}{mark}{place}{'?' + HIDDEN if asked else ''}"


def shown(value: Any) -> Any:
    """A value of a study file for a message: addresses in it, however deep, are masked."""
    if isinstance(value, dict):
        return {key: shown(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shown(inner) for inner in value]
    if isinstance(value, str):
        return _ADDRESS.sub(lambda found: masked(found[0]), value)
    return value


def reason(error: Exception, url: str) -> str:
    """What a database's driver says of an address, in one line; its type alone where that tells a secret."""
    said = " ".join(str(error).split())
    kind = type(error).__name__
    return kind if not said or any(secret in said for secret in _secrets(url)) else said


def _secrets(url: str) -> set[str]:
    """What is hidden of an address, as it stands there and unescaped."""
    rest = url.partition("://")[2] or url
    login = "" if rest.startswith("/") else rest.rpartition("@")[0]
    options = rest.partition("?")[2]
    parts = {login.partition(":")[2], options, *(part.partition("=")[2] for part in options.split("&"))}
    if masked(url) != url:
        parts.add(url)
    return {text for part in parts for text in (part, unquote(part), " ".join(part.split())) if text}
