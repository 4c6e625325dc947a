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

# Words of Verilog-2005 and SystemVerilog-2017, which readers of either reject as names.
_VERILOG = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind
bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config
const constraint context continue cover covergroup coverpoint cross deassign default defparam design disable
dist do edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup
endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
enum event eventually expect export extends extern final first_match for force foreach forever fork forkjoin
function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import
incdir include initial inout input inside instance int integer interconnect interface intersect join join_any
join_none large let liblist library local localparam logic longint macromodule matches medium modport module
nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed
parameter pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg
reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime
s_until s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify
specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on
table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior
trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void
wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
# Words of C++ up to 2020.
_CPP = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class
co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype
default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline
int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
reinterpret_cast requires return short signed sizeof static static_assert static_cast struct switch template
this thread_local throw true try typedef typeid typename typeof union unsigned using virtual void volatile
wchar_t while xor xor_eq
"""
#: Names that signals have for something else, or that C++ has in every file.
_OTHERS = "abs buf clk ce max min main std unused"
VERILOG, CPP = frozenset(_VERILOG.split()), frozenset(_CPP.split())
#: Neither a module nor a signal may be called so.
RESERVED = VERILOG | CPP | frozenset(_OTHERS.split())

#: What no function can be called beside C++'s library and the headers of ap_fixed: their macros, types,
#: variables and namespaces. Types that end in _t and macros in upper case are not listed, nor is ``ap_...``.
_LIBRARY_NAMES = """
abi alloca assert assert_perror daylight environ errno fd_mask fd_set getdate_err hls issubnormal
math_errhandling offsetof program_invocation_name program_invocation_short_name retval sched_priority
signgam stderr stdin stdout strdupa strndupa timezone tzname u_char u_int u_long u_short uint ulong ushort
valtype va_arg va_copy va_end va_list va_start
"""
_LIBRARY = frozenset(_LIBRARY_NAMES.split())
_LIBRARY_BEGINS = (
    *(
        "ap_",
        "af_",
        "AESL_",
        "ssdm_int",
        "pthread_",
        "M_1_PI",
        "M_2_",
        "M_E",
        "M_LN",
        "M_LOG",
        "M_PI",
        "M_SQRT",
    ),
    *("L_", "P_tmpdir", "be16toh", "be32toh", "be64toh", "le16toh", "le32toh", "le64toh", "htobe", "htole"),
)
#: Ports and signals of every stage, and of the bench around it.
STAGE = frozenset(
    (
        *(
            "aclk",
            "aresetn",
            "ce",
            "data",
            "keep",
            "lane",
            "last",
            "m_keep",
            "ready",
            "s_keep",
            "sweep",
            "unused",
            "unused_keep",
            "user",
            "valid",
            "x",
            "y",
        ),
        *("load_address", "load_data", "load_valid"),
    )
)

#: What packages and benches call by these names, and no kernel may.
SHARED = frozenset(
    f"hwnorm_{name}"
    for name in (
        *("axis", "axis_pipe", "axis_skid", "bench", "bits"),
        *("cells", "code", "float_code", "from_code", "from_unsigned", "sweep", "tables"),
    )
)
#: What packages and benches append to a module's name, each behind an underscore.
APPENDED = (
    *("core", "comb", "axis", "tb", "H", "lanes", "user_width", "x_t", "y_t", "s_axis_t", "m_axis_t"),
    *(f"{side}_axis_t{what}" for side in "sm" for what in ("data", "keep", "valid", "ready", "last", "user")),
    *("tdata", "tvalid", "tlast", "done", "y", "received", "first_result", "last_result", "differing"),
    *("bases", "drops", "limits", "words", "load_place", "load_word", "pins"),
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


def kernel_name(text: object) -> str:
    """The name of a kernel, that is of its Verilog module and its C++ function.

    Raises:
        ValueError: it is none; the message says why.
    """
    if (fault := _fault(text)) is not None:
        raise ValueError(f"top {text!r}: not a name for a Verilog module and a C++ function ({fault})")
    return str(text)


def _fault(text: object) -> str | None:
    """Why a kernel cannot be called so; None if it can."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
        return "letters, digits and _ alone, a letter first"
    own = {name.lower() for name in (text, *(f"{text}_{part}" for part in APPENDED))} & SHARED
    reasons = {
        f"{len(text)} characters; at most {MOST_TOP} are possible": len(text) > MOST_TOP,
        "a word of Verilog or SystemVerilog": text in VERILOG,
        "the function that C++ programs begin with": text == "main",
        "a word of C++": text in CPP,
        "a name of C++'s library or of ap_fixed's headers": _is_of_library(text),
        "upper case alone is for parameters and macros": text.isupper(),
        "a signal of every stage": text.lower() in STAGE or text.startswith(("s_axis_", "m_axis_")),
        f"{min(own, default='')} is hwnorm's own": bool(own),
        "a name that signals and functions have": text in RESERVED,
    }
    return next((why for why, so in reasons.items() if so), None)


def _is_of_library(text: str) -> bool:
    # hwnorm's own names are the layers', which may end in anything.
    types = text.endswith("_t") and not text.startswith("hwnorm_")
    return types or text in _LIBRARY or text.startswith(_LIBRARY_BEGINS)


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
TopName = Annotated[str, AfterValidator(kernel_name)]


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
