"""LUTs, flip-flops, DSP blocks and memory blocks of an engine, predicted from measured parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from hwnorm.artefact import Part
from hwnorm.cost.blocks import in_blocks, memory
from hwnorm.cost.cost import Resources as KernelResources
from hwnorm.cost.cost import resources as kernel_resources
from hwnorm.cost.cost import table_area
from hwnorm.cost.structure import Table
from hwnorm.datapath.ir import Datapath
from hwnorm.engine.emit import Unit, parameters, units
from hwnorm.engine.engine import SCORE_BITS, STREAM_BITS, Engine
from hwnorm.engine.memories import descriptors, positions
from hwnorm.engine.norm_unit import NormUnit
from hwnorm.engine.parts import (
    TERMS,
    Family,
    Instances,
    Parameters,
    Terms,
    instances,
    memories,
    read_only_memories,
)
from hwnorm.engine.phase import DESCRIPTOR_BITS, Kind
from hwnorm.engine.program import Program
from hwnorm.engine.work import Workload
from hwnorm.errors import InputError
from hwnorm.targets.target import Target, load_target

_DATA = Path(__file__).with_name("data")


@dataclass(frozen=True)
class Resources:
    """What an engine takes of a device.

    ``lut`` counts LUTs as logic, memory and shift registers, ``bram`` the family's smallest blocks of
    memory: 18 kbit on UltraScale+ and on ECP5.
    """

    lut: int
    ff: int
    dsp: int
    bram: int

    def within(self, most: Resources) -> bool:
        """Whether none is more than in ``most``."""
        return all(getattr(self, field.name) <= getattr(most, field.name) for field in fields(self))

    def share(self, most: Resources) -> float:
        """The largest share of what there may be; infinite where something is taken that is not there."""
        pairs = [(getattr(self, field.name), getattr(most, field.name)) for field in fields(self)]
        return max(taken / there if there else math.inf for taken, there in pairs if taken)

    def told(self) -> str:
        """In words."""
        return f"{self.lut} LUT, {self.ff} FF, {self.dsp} DSP, {self.bram} BRAM"


class Coefficients(Part):
    """LUTs and flip-flops that one of each term of a module takes (:data:`hwnorm.engine.parts.TERMS`)."""

    lut: dict[str, float]
    ff: dict[str, float]


class PartCosts(Part):
    """The parts of engines as measured on a target: a data file, made by ``hwnorm characterize --engine``."""

    target: str
    #: Tools and versions.
    measured_with: str
    modules: dict[str, Coefficients]


@lru_cache
def load_parts(target: str) -> PartCosts:
    """The measured parts of a target.

    Raises:
        InputError: none were measured.
    """
    path = _DATA / f"{target}.json"
    if not path.is_file():
        known = " and ".join(sorted(found.stem for found in _DATA.glob("*.json")))
        raise InputError(f"engine: target {target}: no parts of engines were measured; they were for {known}")
    return PartCosts.model_validate_json(path.read_text(encoding="utf-8"))


def is_predicted(target: str, unit: NormUnit | None) -> bool:
    """Whether all parts of an engine with this LayerNorm unit were measured on a target."""
    return unit is None and (_DATA / f"{target}.json").is_file()


@cache
def _measured_on(target: str) -> tuple[PartCosts, Target]:
    """A target that is shipped, and its parts: a search asks for them once an engine."""
    return load_parts(target), load_target(target)


@lru_cache(maxsize=1024)
def _kernel(kernel: Datapath, target: str) -> KernelResources:
    return kernel_resources(kernel.nodes, kernel.latency, load_target(target))


def engine_resources(program: Program, target: str) -> Resources:
    """What ``hwnorm_engine`` takes with the memories and kernels of a program without LayerNorms.

    Raises:
        InputError: no parts were measured for the target.
    """
    costs, device = _measured_on(target)
    p = parameters(program)
    parts = instances(p, *(unit_parameters(p, unit) for unit in units(program)))
    lut, ff = _measured(parts, costs, device)
    dsp, bram = program.engine.dsps(p["SUM"]), 0
    for part in parts:
        if part.module == "engine_memory":
            words, bits = part.parameters["WORDS"], part.parameters["BITS"]
            holds = memory(words, bits, device.flow.technology)
            lut += part.count * holds.lut
            bram += part.count * holds.bram
    for (words, bits), contents in zip(read_only_memories(p), (descriptors, positions), strict=True):
        if in_blocks(words, bits):
            bram += memory(words, bits, device.flow.technology).bram
        else:
            table = _contents(contents(program), words, bits)
            lut += table_area(table, device)
            ff += len(table.columns)
    for kernel in (*program.functions, *program.exponentials):
        each = _kernel(kernel, target)
        lut += program.engine.tokens * each.lut
        ff += program.engine.tokens * each.ff
        dsp += program.engine.tokens * each.dsp
    return Resources(round(lut), round(ff), dsp, bram)


def _contents(codes: Sequence[int], words: int, bits: int) -> Table:
    """A memory that is logic, by what it begins with: columns that differ and are not constant.

    Args:
        codes: its words; there may be fewer than ``words``.
        words: of the memory.
        bits: of a word.
    """
    address_bits = max(1, (words - 1).bit_length())
    rows = np.zeros((1 << address_bits, -(-bits // 8)), dtype=np.uint8)
    rows[: len(codes)] = [list(code.to_bytes(rows.shape[1], "little")) for code in codes]
    columns = np.unpackbits(rows, axis=1, bitorder="little").T
    varying = columns[(columns[:, : len(codes)] != columns[:, :1]).any(axis=1)]
    return Table(address_bits, tuple(dict.fromkeys(column.tobytes() for column in varying)))


def least_resources(engine: Engine) -> Resources:
    """What an engine takes at least, whatever its program: its array, with the shortest sums."""
    shared, bits = engine.sharing, 8 + engine.activation_bits
    own = {
        "COLUMNS": engine.columns, "DEPTH": engine.depth, "A_BITS": engine.activation_bits,
        **shared.parameters,
        "SUM": bits + (engine.depth - 1).bit_length(),
    }  # fmt: skip
    counts = {
        "engine_multiplier": engine.multipliers - engine.lut_multipliers,
        "engine_lut_multiplier": engine.lut_multipliers,
        "engine_tokens": engine.tokens // shared.pair,
    }
    parts = [Instances(module, count, own) for module, count in counts.items()]
    lut, ff = _measured(parts, *_measured_on(engine.device))
    return Resources(int(lut), int(ff), engine.dsps(), 0)


def least_blocks(engine: Engine, work: Workload) -> int:
    """Blocks of memory that an engine takes at least for this: activations are those of the largest tensor.

    All other memories are as large as they will be.
    """
    most = dict.fromkeys(("A_WORDS", "K_WORDS", "V_WORDS", "P_WORDS", "WORDS"), 1)
    first, phases = work.products[0], 1
    for product in work.products:
        tiles, words = -(-product.span // engine.tokens), -(-product.inputs // engine.depth)
        found: dict[str, int] = {}
        match product.kind:
            case Kind.LINEAR:
                found = {"WORDS": words} | ({} if product.pixels else {"A_WORDS": tiles * words})
            case Kind.SCORES:
                keys = engine.keys_words(product.span)
                found = {"K_WORDS": product.count * words * tiles, "P_WORDS": 2 * tiles * keys}
            case Kind.CONTEXT | Kind.POOL:
                found = {"V_WORDS": product.count * engine.parts(product.rows8)[0] * tiles}
            case _:
                pass
        most |= {name: max(most[name], count) for name, count in found.items()}
        phases += product.count
    tiles = -(-first.span // engine.tokens)
    p = {
        **most, **engine.sharing.parameters, "TOKENS": engine.tokens, "COLUMNS": engine.columns,
        "DEPTH": engine.depth, "BEAT": engine.beat, "A_BITS": engine.activation_bits,
        "STREAM": STREAM_BITS, "SCORE": SCORE_BITS, "S_WORDS": tiles * (first.rows8 + first.rows4),
        "CLASSES": work.classes, "KEYS": first.span, "TILES": tiles, "PHASES": phases,
        "DESCRIPTOR": DESCRIPTOR_BITS, "CHANNELS": first.inputs, "HEIGHT": 1, "WIDTH": 1,
        "FIRST": first.span - first.tokens, "ROWS": 1, "LINE": first.tokens,
        "PIXELS": math.gcd(work.line, engine.depth, 8),
    }  # fmt: skip
    technology = _measured_on(engine.device)[1].flow.technology
    return sum(count * memory(words, bits, technology).bram for count, words, bits in memories(p))


def unit_parameters(p: Parameters, unit: Unit) -> dict[str, int]:
    """What a unit's terms depend on: its kernels, and how long each result waits for the slowest."""
    kernels = unit["kernels"]
    # Kernels are numbered from 1 where 0 takes the code as it is.
    identity = unit["start"] == 1
    return {
        "A_BITS": p["A_BITS"],
        "LATENCY": unit["latency"],
        "SELECT": 6 if identity else 3,
        "IDENTITY": int(identity),
        "KERNELS": len(kernels),
        **{f"DELAY_{n}": kernel["delay"] for n, kernel in enumerate(kernels)},
    }


def _measured(parts: Iterable[Instances], costs: PartCosts, target: Target) -> tuple[float, float]:
    """LUTs and flip-flops of the modules, without those that hold the words of memories."""
    family = Family(target.flow.technology, target.shift_register)
    lut = ff = 0.0
    for part in parts:
        terms, known = TERMS[part.module](part.parameters, family), costs.modules[part.module]
        lut += part.count * _weighed(terms, known.lut)
        ff += part.count * _weighed(terms, known.ff)
    return lut, ff


def _weighed(terms: Terms, coefficients: dict[str, float]) -> float:
    return sum(count * coefficients.get(name, 0.0) for name, count in terms.items())
