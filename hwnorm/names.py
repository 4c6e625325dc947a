"""Names of layers and of Verilog modules: which ones there can be, and one module a layer.

What a file calls a name becomes part of a path and of generated code: it is checked wherever it is read.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator

#: Bytes of a layer's name, and characters of a module's, at most: both become names of files.
MOST_LAYER, MOST_TOP = 200, 100

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
#: Neither a module nor a signal may be called so.
RESERVED = frozenset(_WORDS.split())

#: What packages and benches call by these names, and no kernel may.
SHARED = frozenset(
    f"hwnorm_{name}"
    for name in (
        *("axis", "axis_pipe", "axis_skid", "bench", "bits"),
        *("cells", "code", "float_code", "from_code", "sweep"),
    )
)
#: What packages and benches append to a module's name, each behind an underscore.
APPENDED = (
    *("core", "comb", "axis", "tb", "H", "lanes", "user_width", "x_t", "y_t", "s_axis_t", "m_axis_t"),
    *(f"{side}_axis_{signal}" for side in "sm" for signal in ("tdata", "tvalid", "tready", "tlast", "tuser")),
    *("tdata", "tvalid", "tlast", "done", "y", "received", "first_result", "last_result", "differing"),
)


def is_identifier(text: str) -> bool:
    """Whether ``text`` can name a module or a function in Verilog and in C++."""
    return (
        re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is not None
        and len(text) <= MOST_TOP
        and text not in RESERVED | SHARED
    )


def top_name(text: object) -> str:
    """The name of a kernel's Verilog module, as a file has it.

    Raises:
        ValueError: it is none; the message says what it may be.
    """
    if not isinstance(text, str) or not is_identifier(text):
        raise ValueError(
            f"top {text!r}: not a name for a Verilog module (letters, digits, _, at most {MOST_TOP}; "
            "no keyword, none of hwnorm's own)"
        )
    return text


def layer_name(text: object) -> str:
    """The name of a layer, as a file or a model has it: it can be the name of a file, and no path.

    Raises:
        ValueError: it is none; the message says what it may be.
    """
    fit = isinstance(text, str) and text.isprintable() and text[:1] not in ("", ".")
    if not fit or set(str(text)) & set("/\\") or len(str(text).encode()) > MOST_LAYER:
        raise ValueError(
            f"layer {text!r}: not a name (printable, not beginning with a dot, without / and \\, at most "
            f"{MOST_LAYER} bytes)"
        )
    return str(text)


#: A layer's name, and a module's, as a field of an artefact.
LayerName = Annotated[str, AfterValidator(layer_name)]
TopName = Annotated[str, AfterValidator(top_name)]


def tops_of(layers: Collection[str]) -> dict[str, str]:
    """The name of each layer's Verilog module, for all layers of a network together.

    ``hwnorm_`` and the layer's name with underscores. Where that does not tell layers apart, not even in what
    generated files append to it or by case, or is too long, the first digits of the layer's SHA-256 follow.
    Which layers get them depends on what layers there are, not on their order.

    Returns:
        layer -> name, in the order of ``layers``. No two are equal, by case or otherwise.
    """
    digits = {layer: 8 * _is_cut(layer) for layer in layers}
    while True:
        tops = {layer: _top(layer, count) for layer, count in digits.items()}
        owners: dict[str, set[str]] = defaultdict(set)
        for layer, top in tops.items():
            for name in (top, *(f"{top}_{part}" for part in APPENDED)):
                owners[name.lower()].add(layer)
        alike = {layer for who in owners.values() if len(who) > 1 for layer in who}
        alike |= {layer for layer, top in tops.items() if top.lower() in SHARED}
        if not alike:
            return tops
        for layer in alike:
            digits[layer] += 8


def _plain(layer: str) -> str:
    return "hwnorm_" + re.sub(r"[^A-Za-z0-9]", "_", layer)


def _is_cut(layer: str) -> bool:
    """Whether a layer's name is too long, or has letters that a module's cannot have."""
    return len(_plain(layer)) > MOST_TOP or not layer.isascii()


def _top(layer: str, digits: int) -> str:
    if not digits:
        return _plain(layer)
    code = hashlib.sha256(layer.encode()).hexdigest()[:digits]
    return f"{_plain(layer)[: MOST_TOP - 1 - len(code)]}_{code}"
