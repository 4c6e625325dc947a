"""Signal names that Verilog and C++ both accept, no two alike, and what is said of the signals."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hwnorm.datapath.ir import Node
from hwnorm.expression import brief
from hwnorm.names import RESERVED


def comment_of(node: Node) -> str:
    """What stands behind a signal: the part of the expression that it is, and its format."""
    return f"{brief(node.part)}  {node.fmt}"


class Names:
    """Hands out names; a wish that is taken or not allowed gets a number behind it."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def take(self, wish: str) -> str:
        """A legal name that nobody has yet, as near to ``wish`` as possible."""
        base = re.sub(r"_+", "_", re.sub(r"\W", "_", wish, flags=re.ASCII)).strip("_") or "signal"
        if base[0].isdigit():
            base = f"n{base}"
        name, number = base, 2
        while name in self._taken or name in RESERVED:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name
