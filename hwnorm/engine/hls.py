"""The HLS C++ of an engine: the hardware of ``rtl/engine`` once more, for Vitis HLS and for g++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnorm.datapath.ir import Datapath
from hwnorm.emit.hls import PARTS
from hwnorm.emit.render import render
from hwnorm.emit.stage import DatapathStage
from hwnorm.engine.emit import norm_formats, parameters
from hwnorm.engine.phase import FIELDS, SEGMENT, SEGMENTS, Kind, Target
from hwnorm.engine.program import Program
from hwnorm.expression import brief
from hwnorm.layernorm.rsqrt import rsqrt_table
from hwnorm.resources import resource

#: Hand-written parts that every engine consists of.
_PARTS = (
    *("engine/hls/engine_types.h", "engine/hls/engine_sequencer.h", "engine/hls/engine_weights.h"),
    *("engine/hls/engine_image.h", "engine/hls/engine_array.h", "engine/hls/engine_softmax.h"),
    *("hls/hwnorm_axis.h", "hls/hwnorm_cells.h"),
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
        "engine_parameters.h": render("engine/hls/parameters.h.j2", context),
        "engine_phase.h": render("engine/hls/phase.h.j2", _phase()),
        "engine_functions.h": render(
            "engine/hls/functions.h.j2",
            {
                "comment": "The functions of all norms and activations.",
                "guard": "ENGINE_FUNCTIONS_H",
                "name": "engine_function",
                "select": "number",
                "select_bits": SEGMENT["function"],
                "type": "StreamCode",
                "code": "code",
                "identity": True,
                "kernels": _cases(program.functions, "engine_function", 1),
            },
        ),
        "engine_exponentials.h": render(
            "engine/hls/functions.h.j2",
            {
                "comment": "2^x of all softmaxes.",
                "guard": "ENGINE_EXPONENTIALS_H",
                "name": "engine_exponential",
                "select": "number",
                "select_bits": FIELDS["exponential"][0],
                "type": "Score",
                "code": "difference",
                "identity": False,
                "kernels": _cases(program.exponentials, "engine_exponential", 0),
            },
        ),
        **{name: render(f"engine/hls/{name}.j2", context) for name in _RENDERED},
    }
    copied = (*_PARTS, *(["engine/hls/engine_norm.h"] if program.norms else []))
    texts = {path.rpartition("/")[2]: (resource("templates") / path).read_text("utf-8") for path in copied}
    formats = norm_formats(program)
    if formats is not None:
        table = {"table": rsqrt_table()}
        texts["engine_norm_formats.h"] = render("engine/hls/norm_formats.h.j2", formats | table)
    return {**rendered, **texts, **kernels}


#: Files that are rendered from a template of their own name.
_RENDERED = (
    *(
        "engine_epilogue.h",
        "engine_compute.h",
        "hwnorm_engine.h",
        "hwnorm_engine.cpp",
        "hwnorm_engine_tb.cpp",
    ),
    *("run_hls.tcl", "Makefile"),
)


def _phase() -> dict[str, Any]:
    """What ``phase.h.j2`` says of descriptors: the places of their fields."""
    whole = _places({name: bits for name, (bits, _) in FIELDS.items()})
    return {
        "kinds": list(Kind),
        "targets": list(Target),
        "fields": [field for field in whole if field["name"] != "segments"],
        "segment": _places(SEGMENT),
        "segments": SEGMENTS,
        "segments_at": next(field["at"] for field in whole if field["name"] == "segments"),
        "segment_bits": sum(SEGMENT.values()),
    }


def _places(widths: dict[str, int]) -> list[dict[str, Any]]:
    found, at = [], 0
    for name, bits in widths.items():
        found.append({"name": name, "bits": bits, "at": at})
        at += bits
    return found


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
