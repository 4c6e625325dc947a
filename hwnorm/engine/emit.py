"""The Verilog of an engine and its program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hwnorm.datapath.ir import Datapath
from hwnorm.emit.render import render
from hwnorm.emit.stage import DatapathStage
from hwnorm.engine.engine import SCORE_BITS, STREAM_BITS
from hwnorm.engine.memories import descriptor_lines, norm_lines, table_lines
from hwnorm.engine.phase import DESCRIPTOR_BITS, FIELDS, places
from hwnorm.engine.program import Program
from hwnorm.engine.registers import description_file, read
from hwnorm.engine.registers import render as render_registers
from hwnorm.engine.work import latency
from hwnorm.expression import brief
from hwnorm.resources import resource

#: The kernels of a unit, as its template has them.
Unit = dict[str, Any]

#: Hand-written parts that every engine consists of.
RTL_PARTS = (
    "engine_memory.v",
    "engine_multiplier.v",
    "engine_lut_multiplier.v",
    "engine_tokens.v",
    "engine_array.v",
    "engine_weights.v",
    "engine_image.v",
    "engine_sequencer.v",
    "engine_lane.v",
    "engine_epilogue.v",
    "engine_softmax.v",
    "engine_core.v",
)
#: Those of its LayerNorm unit, where it has one.
NORM_PARTS = ("engine_norm.v", "engine_norm_lane.v")
NORM_ARITHMETIC = ("layernorm_variance.v", "layernorm_rsqrt.v", "layernorm_rsqrt_rom.v")


def pixels_a_beat(program: Program) -> int:
    """Pixels that the image's stream brings at a time: parts of a patch's row and of a word, at most 8."""
    return math.gcd(math.gcd(program.patches.width, program.engine.depth), 8)


def parameters(program: Program) -> dict[str, int]:
    """Of ``rtl/engine/engine_core.v``."""
    engine, sizes, patches = program.engine, program.sizes, program.patches
    channels, height, width = program.image
    return {
        "TOKENS": engine.tokens,
        "COLUMNS": engine.columns,
        "LUT_COLUMNS": engine.lut_columns,
        "DEPTH": engine.depth,
        "A_BITS": engine.activation_bits,
        **engine.sharing.parameters,
        "SUM": max(sizes.sum_bits, 8 + engine.activation_bits + max(1, (engine.depth - 1).bit_length())),
        "LANE_DSP": int(engine.rescale == "dsp"),
        "TOTAL": sizes.total_bits + 2,
        "STREAM": STREAM_BITS,
        "SCORE": SCORE_BITS,
        "DIGITS": sizes.digits,
        "BEAT": engine.beat,
        "PIXELS": pixels_a_beat(program),
        "CHANNELS": channels,
        "ROWS": height // patches.height,
        "LINE": width // patches.width,
        "HEIGHT": patches.height,
        "WIDTH": patches.width,
        "FIRST": program.first,
        "KEYS": sizes.tokens,
        "TILES": -(-sizes.tokens // engine.tokens),
        "CLASSES": sizes.classes,
        "WORDS": sizes.weights,
        "A_WORDS": sizes.activations,
        "K_WORDS": sizes.keys,
        "V_WORDS": sizes.values,
        "P_WORDS": sizes.probabilities,
        "S_WORDS": sizes.stream,
        "PHASES": sizes.phases,
        "DESCRIPTOR": DESCRIPTOR_BITS,
        "F_LATENCY": latency(program.functions),
        "E_LATENCY": latency(program.exponentials),
        **_norm_parameters(program),
    }


def _norm_parameters(program: Program) -> dict[str, int]:
    unit = program.norm_unit
    if unit is None:
        return {}
    return {
        "NORMS": program.sizes.norms,
        "NORM_D": unit.channels,
        "NORM_A": unit.a_frac,
        "NORM_GAMMA": unit.gamma_bits,
        "NORM_BETA": unit.beta_bits,
        "NORM_ADDED": unit.offset_bits,
        "NORM_DROP": unit.drop,
    }


def sources(program: Program) -> dict[str, str]:
    """Every file of Verilog, by name; the top is ``hwnorm_engine``."""
    return {**top_sources(parameters(program)), **core_sources(program)}


def top_sources(p: Mapping[str, int]) -> dict[str, str]:
    """The top ``hwnorm_engine`` with these parameters of the core, and its registers."""
    registers = read(description_file())
    slave = f"{registers.name}_registers.v"
    context = {"p": p, "address_bits": registers.address_bits}
    return {
        "hwnorm_engine.v": render("engine/hwnorm_engine.v.j2", context),
        slave: render_registers()[slave],
    }


def core_sources(program: Program) -> dict[str, str]:
    """The files without AXI4-Lite; the top is ``engine``."""
    return {
        **hardware_sources(parameters(program), *units(program)),
        **_kernels(program.functions, "engine_function", 1),
        **_kernels(program.exponentials, "engine_exponential", 0),
        **_norms(program),
    }


def units(program: Program) -> tuple[Unit, Unit]:
    """Those of functions and of exponentials."""
    return (
        unit(program.functions, "engine_function", 1),
        unit(program.exponentials, "engine_exponential", 0),
    )


def hardware_sources(p: Mapping[str, int], functions: Unit, exponentials: Unit) -> dict[str, str]:
    """The core and what it instantiates, without the kernels of its two units and its LayerNorm unit.

    Args:
        p: the core's parameters.
        functions: the kernels of the unit of functions; with delays, to the latency of the slowest.
        exponentials: likewise.
    """
    return {
        "engine.v": render("engine/engine.v.j2", {"comment": "The engine of a network.", "p": p}),
        **{
            f"engine_phase_{part['name']}.v": render(
                "engine/phase.v.j2", {"part": part, "bits": DESCRIPTOR_BITS}
            )
            for part in _parts()
            if part["name"] != "norm" or "NORMS" in p
        },
        "engine_functions.v": render(
            "engine/functions.v.j2",
            {
                "comment": "The functions of all norms and activations: one code a cycle.",
                "module": "engine_functions",
                "width_name": "STREAM",
                "width": STREAM_BITS,
                "select": "s_function",
                "code": "s_code",
                "value": "m_value",
                "select_bits": 6,
                "a_bits": p["A_BITS"],
                "identity": True,
                **functions,
            },
        ),
        "engine_exponentials.v": render(
            "engine/functions.v.j2",
            {
                "comment": "2^x of all softmaxes: one code a cycle.",
                "module": "engine_exponentials",
                "width_name": "SCORE",
                "width": SCORE_BITS,
                "select": "s_exponential",
                "code": "s_difference",
                "value": "m_code",
                "select_bits": 3,
                "a_bits": p["A_BITS"],
                "identity": False,
                **exponentials,
            },
        ),
        **{part: (resource("rtl") / "engine" / part).read_text(encoding="utf-8") for part in RTL_PARTS},
    }


def memories(program: Program) -> dict[str, str]:
    """Every file that the engine's memories begin with: descriptors, positions, gammas and betas."""
    found = {"program.mem": descriptor_lines(program), "table.mem": table_lines(program)}
    return found | ({"norms.mem": norm_lines(program)} if program.norms else {})


def norm_formats(program: Program) -> dict[str, Any] | None:
    """What differs between the norms of the LayerNorm unit, as templates say it; None without norms."""
    unit = program.norm_unit
    if unit is None:
        return None
    return {
        "v_width": unit.designs[0].v_width,
        "norms": [
            {
                "number": number,
                "eps": design.eps_code,
                "less": unit.less(design),
                "up": unit.up(design),
                "comment": f"{design.input} to {design.output}, gamma {design.gamma}, beta {design.beta}, "
                f"eps {design.eps}",
            }
            for number, design in enumerate(unit.designs)
        ],
    }


def _norms(program: Program) -> dict[str, str]:
    """The LayerNorm unit's files; none without norms."""
    context = norm_formats(program)
    if context is None:
        return {}
    rtl = resource("rtl")
    files = [rtl / "engine" / name for name in NORM_PARTS] + [rtl / name for name in NORM_ARITHMETIC]
    return {"engine_norm_formats.v": render("engine/norms.v.j2", context)} | {
        path.name: path.read_text(encoding="utf-8") for path in files
    }


def _kernels(kernels: Sequence[Datapath], name: str, start: int) -> dict[str, str]:
    found = {}
    for number, kernel in enumerate(kernels, start):
        top = f"{name}_{number}"
        found[f"{top}_core.v"] = DatapathStage(kernel, top).sources()[f"{top}_core.v"]
    return found


def unit(kernels: Sequence[Datapath], name: str, start: int) -> Unit:
    """What ``templates/engine/functions.v.j2`` says of kernels; ``start`` is the first one's number."""
    slowest = latency(kernels)
    return {
        "latency": slowest,
        "start": start,
        "kernels": [
            {
                "number": number,
                "module": f"{name}_{number}_core",
                "input": kernel.input.width,
                "delay": slowest - kernel.latency,
                "comment": f"{brief(kernel.expression)}: {kernel.input} to {kernel.output}",
            }
            for number, kernel in enumerate(kernels, start)
        ],
    }


def _parts() -> list[dict[str, Any]]:
    """The fields of a descriptor that each part of the engine reads, and where they are."""
    found: dict[str, list[dict[str, Any]]] = {}
    for field in places({name: bits for name, (bits, _) in FIELDS.items()}):
        for part in FIELDS[field["name"]][1].split():
            found.setdefault(part, []).append(field)
    return [{"name": name, "fields": fields} for name, fields in found.items()]
