"""Signal names that Verilog and C++ both accept, no two alike, and what is said of the signals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.ir import Datapath
from hwnorm.expression import brief
from hwnorm.names import RESERVED

#: Characters of the longest name that a signal asks for.
_LONGEST = 40


class Comments:
    """What is said of the signals of a datapath, which are called ``signals``, by nodes."""

    def __init__(self, datapath: Datapath, signals: Sequence[str]) -> None:
        self._datapath = datapath
        self._signals = {node.name: name for node, name in zip(datapath.nodes, signals, strict=True)}

    def of(self, index: int, args: Sequence[str]) -> str:
        """What a node's signal is made of or is for, and its format; ``args`` are called so there.

        The expression itself is f(x): it is long, and stands in the header.
        """
        nodes = self._datapath.nodes
        node = nodes[index]
        said = node.purpose_with(self._signals)
        if said == self._datapath.expression:
            said = "f(x)"
        words = said or CELLS[node.cell].words(node, args, [nodes[arg].fmt for arg in node.args])
        return f"{brief(words)}, {node.fmt}"


class Names:
    """Hands out names; a wish that is taken or not allowed gets a number behind it."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def take(self, wish: str) -> str:
        """A legal name that nobody has yet, as near to ``wish`` as possible."""
        base = re.sub(r"_+", "_", re.sub(r"\W", "_", wish, flags=re.ASCII)).strip("_")[:_LONGEST] or "signal"
        if base[0].isdigit():
            base = f"n{base}"
        name, number = base, 2
        while name in self._taken or name in RESERVED:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name
