"""The modules of an engine, how often each is there, and what its area depends on.

A module's LUTs and flip-flops, without those of its submodules, are a sum of *terms*: numbers that follow
from its Verilog parameters, each times a coefficient that synthesis was measured for
(:mod:`hwnorm.engine.measure`). A new module is one function of terms in :data:`TERMS` and one line in
:func:`instances`. What holds the words of memories is known by rule: :mod:`hwnorm.cost.blocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hwnorm.cost.blocks import in_blocks, memory

#: Parameters of a Verilog module.
Parameters = Mapping[str, int]
Terms = dict[str, float]


@dataclass(frozen=True)
class Instances:
    """``count`` times a module of ``rtl/engine`` with the same parameters."""

    module: str
    count: int
    parameters: Parameters


@dataclass(frozen=True)
class Family:
    """Of a target: its flow's technology; from ``shortest`` on LUTs hold registers in a row (0: never)."""

    technology: str
    shortest: int

    @property
    def port(self) -> int:
        """Bits of the wide port of its multiplier."""
        return {"xilinx": 27, "ecp5": 18}[self.technology]

    #: A shift register of LUTs holds so many bits.
    DEEPEST = 16

    def row(self, bits: int, length: int) -> Terms:
        """Bits that are delayed by so many cycles, and not read between."""
        if 0 < self.shortest <= length:
            return {"shifted": bits * -(-length // self.DEEPEST), "held": 0.0}
        return {"shifted": 0.0, "held": bits * length}


#: Parts of a memory of LUTs with four inputs, up to which each number of them has its own coefficient.
_FEW = 8


def _up(a: int, b: int) -> int:
    return -(-a // b)


def _log2(value: int) -> int:
    """Verilog's ``$clog2``."""
    return (value - 1).bit_length()


def _sharing(p: Parameters) -> str:
    """The way in which multipliers are shared, of which there are few: coefficients are each one's own."""
    return f"A{p['A_BITS']} x {p['WEIGHTS']}"


def _multiplier(p: Parameters, _: Family) -> Terms:
    return {_sharing(p): 1.0}


def _tokens(p: Parameters, _: Family) -> Terms:
    product, depth = 8 + p["A_BITS"], p["DEPTH"]
    adders = tree = 0
    for lane in range(p["N4"]):
        # Products with weights of 4 bits alone are shorter.
        width = product if lane < p["N8"] else p["G4"]
        tree += width + _log2(depth)
        nodes = depth
        while nodes > 1:
            width += 1
            adders += nodes // 2 * width
            nodes -= nodes // 2
    lanes = p["PAIR"] * p["COLUMNS"]
    return {
        "one": 1.0,
        "sums": lanes * p["N4"] * p["SUM"],
        "tree": lanes * tree,
        "adders": lanes * adders,
        "rows": p["PAIR"] * p["SUM"] * (p["N4"] * p["COLUMNS"] - 1),
        "pairs": (p["PAIR"] - 1) * depth * (p["A_BITS"] + 1),
    }


def _array(p: Parameters, family: Family) -> Terms:
    recoded = p["LUT_COLUMNS"] * p["DEPTH"]
    places = p["COLUMNS"] * p["DEPTH"] - recoded
    return {
        "one": 1.0,
        "activations": p["TOKENS"] * p["DEPTH"] * p["A_BITS"],
        _sharing(p): places,
        "recoded": recoded * max(p["N4"], 2 * p["N8"]),
        **family.row(2, 5),
    }


def _lane(p: Parameters, family: Family) -> Terms:
    # A wider sum than a multiplier's port takes a second one, and its parts are added.
    wide = p["LANE_DSP"] and p["SUM"] > family.port
    return {
        "one": 1.0,
        "sum": p["SUM"],
        "total": p["TOTAL"],
        "second": wide * (p["SUM"] + 18.0),
        "multiplied": 0.0 if p["LANE_DSP"] else p["SUM"] + 2.0,
    }


def _epilogue(p: Parameters, family: Family) -> Terms:
    later = family.row(p["TOKENS"] * p["STREAM"], p["LATENCY"])
    fields = family.row(47, 6 + p["LATENCY"])
    return {
        "one": 1.0,
        "tokens": p["TOKENS"],
        "total": p["TOTAL"],
        "factors": sum(p[name].bit_count() - 1 for name in ("DEPTH", "ROWS8", "TOKENS")),
        **{name: later[name] + fields[name] for name in later},
    }


def _softmax(p: Parameters, family: Family) -> Terms:
    tokens, total = p["TOKENS"], p["A_BITS"] + _log2(p["KEYS"])
    return {
        "one": 1.0,
        "tokens": tokens,
        "sums": tokens * total,
        "digits": tokens * p["DIGITS"],
        **family.row(21, 2 + p["LATENCY"]),
    }


def _weights(p: Parameters, family: Family) -> Terms:
    rows = p["BEAT"] // 64
    # Of a beat's rows one is taken.
    chosen = 64.0 * (_up(rows - 1, 3) if family.technology == "xilinx" else rows - 1)
    return {"one": 1.0, "gathered": p["WORD"], "chosen": chosen}


def _image(p: Parameters, _: Family) -> Terms:
    words = _up(p["CHANNELS"] * p["HEIGHT"] * p["WIDTH"], p["DEPTH"])
    return {
        "one": 1.0,
        "groups": p["TOKENS"] * (p["DEPTH"] // p["PIXELS"]),
        "codes": p["TOKENS"] * p["DEPTH"] * 8,
        "factor": words.bit_count() - 1,
    }


def _sequencer(p: Parameters, _: Family) -> Terms:
    return {"one": 1.0, "phases": _log2(p["PHASES"])}


def _core(p: Parameters, _: Family) -> Terms:
    operands = p["DEPTH"] * p["A_BITS"]
    rows8 = p["N8"] * p["COLUMNS"]
    word8, word4 = rows8 * p["DEPTH"] * 8, p["N4"] * p["COLUMNS"] * p["DEPTH"] * 4
    parts_k, parts_v = _up(p["TOKENS"], rows8), _up(p["TOKENS"], p["DEPTH"])
    return {
        "one": 1.0,
        "activations": p["TOKENS"] * operands,
        "weights": max(word8, word4),
        # Keys and values: a part of a tile's tokens is taken.
        "codes": rows8 * operands,
        "parts": rows8 * operands * (parts_k + parts_v - 2),
    }


def _unit(p: Parameters, family: Family) -> Terms:
    """Functions, or exponentials: all kernels' results, of which one is taken."""
    kept = [family.row(p["A_BITS"], p[f"DELAY_{n}"]) for n in range(p["KERNELS"])]
    if p["IDENTITY"]:
        kept.append(family.row(p["A_BITS"], p["LATENCY"]))
    kept.append(family.row(p["SELECT"], p["LATENCY"]))
    return {
        "one": 1.0,
        "choices": p["A_BITS"] * max(0, p["KERNELS"] + p["IDENTITY"] - 1),
        "shifted": sum(row["shifted"] for row in kept),
        "held": sum(row["held"] for row in kept),
    }


def _slave(p: Parameters, _: Family) -> Terms:
    return {"one": 1.0}


def _memory(p: Parameters, family: Family) -> Terms:
    words, bits = p["WORDS"], p["BITS"]
    parts = memory(words, bits, family.technology).parts
    kind = "block" if in_blocks(words, bits) else "distributed"
    found = {kind: 1.0, f"{kind} bits": bits, f"{kind} parts": parts - 1.0}
    if family.technology == "xilinx" or parts > _FEW or kind == "block":
        # A LUT chooses one of four, or one of two where it has four inputs.
        inputs = 4 if family.technology == "xilinx" else 2
        found["chosen"] = bits * max(1, (1 << _log2(parts)) // inputs) if parts > 1 else 0
    elif parts > 1:
        # What chooses between few parts of LUTs does not grow evenly with them.
        found[f"one of {parts}"] = bits
    return found


#: By module: what its own LUTs and flip-flops depend on.
TERMS: dict[str, Callable[[Parameters, Family], Terms]] = {
    "engine_memory": _memory,
    "engine_multiplier": _multiplier,
    "engine_lut_multiplier": _multiplier,
    "engine_tokens": _tokens,
    "engine_array": _array,
    "engine_lane": _lane,
    "engine_epilogue": _epilogue,
    "engine_softmax": _softmax,
    "engine_weights": _weights,
    "engine_image": _image,
    "engine_sequencer": _sequencer,
    "engine_core": _core,
    "engine_functions": _unit,
    "engine_exponentials": _unit,
    "hwnorm_engine_registers": _slave,
}


def instances(p: Parameters, functions: Parameters, exponentials: Parameters) -> list[Instances]:
    """The modules of an engine, as ``rtl/engine/engine_core.v`` and those below it instantiate them.

    Args:
        p: the parameters of ``engine_core``.
        functions: of the unit of functions: its kernels, their delays, whether it takes codes as they are.
        exponentials: likewise.
    """
    tokens, depth = p["TOKENS"], p["DEPTH"]
    pairs = tokens // p["PAIR"]
    rows8, rows4 = p["N8"] * p["COLUMNS"], p["N4"] * p["COLUMNS"]
    word8, word4 = rows8 * depth * 8, rows4 * depth * 4
    rows = {"ROWS8": rows8, "ROWS4": rows4, "WORD8": word8, "WORD4": word4, "WORD": max(word8, word4)}
    own = {**p, **rows, "SELECT": 6}
    image = own | {"ROWS": p["ROWS"], "COLUMNS": p["LINE"]}
    found = [
        Instances("hwnorm_engine_registers", 1, {}),
        Instances("engine_core", 1, own),
        Instances("engine_sequencer", 1, own),
        Instances("engine_array", 1, own),
        Instances("engine_tokens", pairs, own),
        Instances("engine_multiplier", pairs * (p["COLUMNS"] - p["LUT_COLUMNS"]) * depth, own),
        Instances("engine_lut_multiplier", pairs * p["LUT_COLUMNS"] * depth, own),
        Instances("engine_epilogue", 1, own | {"LATENCY": p["F_LATENCY"]}),
        Instances("engine_lane", tokens, own),
        Instances("engine_functions", tokens, functions),
        Instances("engine_softmax", 1, own | {"LATENCY": p["E_LATENCY"]}),
        Instances("engine_exponentials", tokens, exponentials),
        Instances("engine_weights", 1, own),
        Instances("engine_image", 1, image),
    ]
    found += [
        Instances("engine_memory", count, {"WORDS": words, "BITS": bits})
        for count, words, bits in written_memories(p)
    ]
    return found


def memories(p: Parameters) -> list[tuple[int, int, int]]:
    """How many memories of so many words of so many bits an engine has, a LayerNorm unit's left aside.

    Args:
        p: the parameters of ``engine_core``.
    """
    return [*written_memories(p), *((1, words, bits) for words, bits in read_only_memories(p))]


def read_only_memories(p: Parameters) -> tuple[tuple[int, int], tuple[int, int]]:
    """Words and bits of those that nothing writes: descriptors, and what the stream begins with."""
    return (p["PHASES"], p["DESCRIPTOR"]), (p["S_WORDS"], p["TOKENS"] * p["STREAM"])


def written_memories(p: Parameters) -> list[tuple[int, int, int]]:
    """Those of :func:`memories` that are written while the engine runs."""
    tokens, depth, a_bits = p["TOKENS"], p["DEPTH"], p["A_BITS"]
    rows8, rows4 = p["N8"] * p["COLUMNS"], p["N4"] * p["COLUMNS"]
    patch = _up(p["CHANNELS"] * p["HEIGHT"] * p["WIDTH"], depth)
    held = _up(p["FIRST"] + p["ROWS"] * p["LINE"], tokens) * patch
    row_beats = _up(rows4, p["BEAT"] // 64)
    return [
        (depth, p["A_WORDS"], tokens * a_bits),
        (depth, p["K_WORDS"], tokens * a_bits),
        (depth, p["P_WORDS"], tokens * a_bits),
        (rows8, p["V_WORDS"], tokens * a_bits),
        (1, p["S_WORDS"], tokens * p["STREAM"]),
        (1, p["CLASSES"], p["STREAM"]),
        (1, 2 * p["WORDS"], depth * max(rows8 * 8, rows4 * 4)),
        (1, 2 * row_beats, p["BEAT"]),
        (1, 2 * p["KEYS"], tokens * p["SCORE"]),
        (1, 2 * p["TILES"], tokens * 17),
        (tokens * (depth // p["PIXELS"]), 2 * held, p["PIXELS"] * 8),
    ]
