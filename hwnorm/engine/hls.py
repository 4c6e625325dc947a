"""The HLS C++ of an engine: the hardware of ``rtl/engine`` once more, for Vitis HLS and for g++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnorm.datapath.ir import Datapath
from hwnorm.emit.hls import PARTS
from hwnorm.emit.render import render
from hwnorm.emit.stage import DatapathStage
from hwnorm.engine.emit import norm_formats, parameters
from hwnorm.engine.phase import FIELDS, SEGMENT, SEGMENTS, Kind, Target, places
from hwnorm.engine.program import Program
from hwnorm.expression import brief
from hwnorm.layernorm.rsqrt import rsqrt_table
from hwnorm.resources import resource

#: Hand-written parts that every engine consists of.
_PARTS = (
    "engine/hls/engine_types.h",
    "engine/hls/engine_sequencer.h",
    "engine/hls/engine_weights.h",
    "engine/hls/engine_image.h",
    "engine/hls/engine_array.h",
    "engine/hls/engine_softmax.h",
    "hls/hwnorm_axis.h",
    "hls/hwnorm_cells.h",
)
#: That of its LayerNorm unit, where it has one.
_NORM_PART = "engine/hls/engine_norm.h"
#: Files that are rendered from a template of their own name.
_RENDERED = (
    "engine_parameters.h",
    "engine_epilogue.h",
    "engine_compute.h",
    "hwnorm_engine.h",
    "hwnorm_engine.cpp",
    "hwnorm_engine_tb.cpp",
    "run_hls.tcl",
    "Makefile",
)
#: Parameters of the Verilog that the C++ has no use for: how many registers there are is what HLS decides.
_OF_VERILOG = {"F_LATENCY", "E_LATENCY", "LANE_DSP"}


def hls_sources(program: Program, clock_mhz: float, vectors: int) -> dict[str, str]:
    """Every file of the folder ``hls/`` of a package, by name; the top is ``hwnorm_engine``.

    Args:
        program: the engine and its kernels.
        clock_mhz: what ``run_hls.tcl`` asks for.
        vectors: images that makefile and ``run_hls.tcl`` run.
    """
    p = parameters(program)
    kernels = {
        **_functions(program.functions, "engine_function", 1),
        **_functions(program.exponentials, "engine_exponential", 0),
    }
    sources = ["hwnorm_engine.cpp", *(name for name in kernels if name.endswith(".cpp"))]
    device = program.engine.device
    context = {
        "sizes": {name: value for name, value in p.items() if name not in _OF_VERILOG},
        "norms": bool(program.norms),
        "rows": program.engine.rows4,
        "multiplier": "dsp" if p["LANE_DSP"] else "fabric",
        "sources": sources,
        "vectors": vectors,
        "target": device,
        "part": PARTS.get(device),
        "clock_ns": f"{1000.0 / clock_mhz:g}",
    }
    rendered = {
        **{name: render(f"engine/hls/{name}.j2", context) for name in _RENDERED},
        "engine_phase.h": render("engine/hls/engine_phase.h.j2", _phase()),
        "engine_functions.h": _unit(
            {"comment": "The functions of all norms and activations.", "guard": "ENGINE_FUNCTIONS_H"},
            {"name": "engine_function", "bits": SEGMENT["function"], "type": "StreamCode", "other": "code"},
            _cases(program.functions, "engine_function", 1),
        ),
        "engine_exponentials.h": _unit(
            {"comment": "2^x of all softmaxes.", "guard": "ENGINE_EXPONENTIALS_H"},
            {"name": "engine_exponential", "bits": FIELDS["exponential"][0], "type": "Score", "other": "0"},
            _cases(program.exponentials, "engine_exponential", 0),
        ),
    }
    copied = (*_PARTS, _NORM_PART) if program.norms else _PARTS
    texts = {path.rpartition("/")[2]: (resource("templates") / path).read_text("utf-8") for path in copied}
    formats = norm_formats(program)
    if formats is not None:
        context = formats | {"table": rsqrt_table()}
        texts["engine_norm_formats.h"] = render("engine/hls/engine_norm_formats.h.j2", context)
    return {**rendered, **texts, **kernels}


def _phase() -> dict[str, Any]:
    """What the template says of descriptors: the places of their fields."""
    bits = {name: each for name, (each, _) in FIELDS.items()}
    return {
        "kinds": list(Kind),
        "targets": list(Target),
        "fields": [field for field in places(bits) if field["name"] != "segments"],
        "segment": places(SEGMENT),
        "segments": SEGMENTS,
        "segments_at": next(field["at"] for field in places(bits) if field["name"] == "segments"),
        "segment_bits": sum(SEGMENT.values()),
    }


def _unit(head: dict[str, Any], function: dict[str, Any], kernels: list[dict[str, Any]]) -> str:
    return render("engine/hls/engine_functions.h.j2", {**head, "function": function, "kernels": kernels})


def _functions(kernels: Sequence[Datapath], name: str, start: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, kernel in enumerate(kernels, start):
        found |= DatapathStage(kernel, f"{name}_{number}").function()
    return found


def _cases(kernels: Sequence[Datapath], name: str, start: int) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "top": f"{name}_{number}",
            "input": kernel.input,
            "comment": f"{brief(kernel.expression)}: {kernel.input} to {kernel.output}",
        }
        for number, kernel in enumerate(kernels, start)
    ]
