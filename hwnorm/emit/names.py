"""Signal names that Verilog and C++ both accept, no two alike, and what is said of the signals."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hwnorm.datapath.ir import Node
from hwnorm.expression import brief

# Words of Verilog-2005 (with the SystemVerilog ones that readers reject as names) and of C++ that
# could come up as the name of a signal.
_WORDS = """
always and assign automatic begin bit buf byte case casex casez cell class clk const ce deassign
default define design disable edge else end endcase endmodule enum event expect export final
first_match for force forever fork function generate genvar if iff import initial inout input inside
instance int integer interface join large library local localparam logic macromodule matches medium
modport module nand negedge new nor not notif0 notif1 null or output package packed parameter pmos
posedge primitive priority program property protected pull0 pull1 pulldown pullup pure rand randc
real realtime ref reg release repeat return scalared sequence shortint shortreal signed small solve
specify specparam static string strong0 strong1 struct super supply0 supply1 table tagged task this
throughout time timeprecision timeunit tran tri tri0 tri1 triand trior trireg type typedef union
unique unsigned use var vectored virtual void wait wand weak0 weak1 while wildcard wire with within
wor xnor xor unused alignas alignof asm auto bool break catch char compl concept constexpr continue
decltype delete do double explicit extern false float friend goto inline long main mutable namespace
noexcept not_eq nullptr operator or_eq private public register requires short signed sizeof switch
template throw true try typeid typename using volatile wchar_t xor_eq std abs min max
"""
_RESERVED = frozenset(_WORDS.split())


def comment_of(node: Node) -> str:
    """What stands behind a signal: the part of the expression that it is, and its format."""
    return f"{brief(node.part)}  {node.fmt}"


def is_identifier(text: str) -> bool:
    """Whether ``text`` can name a module or a function in Verilog and in C++."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is not None and text not in _RESERVED


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
        while name in self._taken or name in _RESERVED:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name
