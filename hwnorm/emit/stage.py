"""A datapath in every lane of a stream: the kernel that stands in for a norm."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from hwnorm.cost.cost import Resources, fmax_mhz, stage_resources
from hwnorm.datapath.ir import Certificate, Datapath
from hwnorm.datapath.serial import from_json, to_json
from hwnorm.emit.hls import hls_context
from hwnorm.emit.render import render
from hwnorm.emit.verilog import comb_context, core_context
from hwnorm.fixed import byte_bits
from hwnorm.kernel.manifest import PackageManifest
from hwnorm.kernel.stimulus import EXHAUSTIVE_WIDTH, codes_to_send
from hwnorm.kernel.stream import StreamKernel
from hwnorm.resources import resource
from hwnorm.targets.target import Target
from hwnorm.version import VERSION

#: Hand-written Verilog that every stage instantiates.
RTL_PARTS = ("hwnorm_axis_skid.v", "hwnorm_axis_pipe.v")

#: What its package takes along as it is: from which resource folder, and which file of it.
_COPIED = {
    "hls/hwnorm_cells.h": ("templates", "hls/hwnorm_cells.h"),
    "hls/hwnorm_axis.h": ("templates", "hls/hwnorm_axis.h"),
    "sim/test_codes.py": ("sim", "test_codes.py"),
}


class DatapathStage(StreamKernel):
    """``rtl/TOP.v``: each lane computes ``datapath`` of each element. A token is one beat.

    Its package holds more renderings of the same cells: a combinational core, HLS C++ and testbenches.

    Raises:
        InputError: ``top`` is no name for a module, or ``lanes`` is not positive.
    """

    kind = "datapath"

    def __init__(self, datapath: Datapath, top: str, lanes: int = 1, note: str = "") -> None:
        super().__init__(
            top=top,
            input=datapath.input,
            output=datapath.output,
            lanes=lanes,
            beats=1,
            latency=datapath.latency,
            expression=datapath.expression,
            parameters={"LANES": lanes},
            note=note,
            target=datapath.target,
            clock_mhz=datapath.clock_mhz,
        )
        self.datapath = datapath

    def evaluate(self, tokens: np.ndarray) -> np.ndarray:
        return self.datapath.evaluate(tokens)

    def sources(self) -> dict[str, str]:
        return {
            f"{self.top}.v": render("verilog/stage.v.j2", self._context),
            f"{self.top}_core.v": render("verilog/core.v.j2", self._context),
            **{part: (resource("rtl") / part).read_text(encoding="utf-8") for part in RTL_PARTS},
        }

    def description(self) -> Any:
        return to_json(self.datapath)

    @classmethod
    def from_description(cls, data: Any, manifest: PackageManifest) -> DatapathStage:
        return cls(from_json(data), manifest.top, manifest.lanes, manifest.note)

    def files(self) -> dict[str, str]:
        top = self.top
        context = self._context | {
            "comb": comb_context(self.datapath, top),
            "vectors": len(codes_to_send(self.input, seed=0)),
            **hls_context(self.datapath, top),
        }
        rendered = {
            f"rtl/{top}_comb.v": "verilog/comb.v.j2",
            f"hls/{top}.h": "hls/kernel.h.j2",
            f"hls/{top}.cpp": "hls/kernel.cpp.j2",
            f"hls/{top}_axis.h": "hls/axis.h.j2",
            f"hls/{top}_axis.cpp": "hls/axis.cpp.j2",
            f"hls/{top}_tb.cpp": "hls/testbench.cpp.j2",
            "hls/run_hls.tcl": "hls/run_hls.tcl.j2",
            f"sim/{top}_tb.v": "sim/testbench.v.j2",
            "sim/Makefile": "sim/Makefile.j2",
            f"{top}.core": "package/fusesoc.core.j2",
            "README.md": "package/README.md.j2",
        }
        return {
            **{name: render(template, context) for name, template in rendered.items()},
            **{n: (resource(place) / part).read_text("utf-8") for n, (place, part) in _COPIED.items()},
            "sim/vectors.txt": self._vectors(),
        }

    @property
    def certificate(self) -> Certificate:
        return self.datapath.certificate

    def resources(self, target: Target) -> Resources:
        return stage_resources(self.datapath, self.lanes, target)

    def fmax_mhz(self, target: Target) -> float:
        return fmax_mhz(self.datapath.nodes, target)

    def to_send(self, seed: int) -> np.ndarray:
        """All codes in every lane, each lane starting elsewhere."""
        codes = codes_to_send(self.input, seed)
        return np.stack([np.roll(codes, -lane) for lane in range(self.lanes)], axis=1)

    @property
    def exhaustive(self) -> bool:
        return self.input.width <= EXHAUSTIVE_WIDTH

    def _vectors(self) -> str:
        """Input code and output code, one pair a line: what every testbench of the package reads."""
        codes = codes_to_send(self.input, seed=0)
        pairs = zip(codes.tolist(), self.evaluate(codes).tolist(), strict=True)
        return "".join(f"{code} {result}\n" for code, result in pairs)

    @cached_property
    def _context(self) -> dict[str, Any]:
        return kernel_context(self.datapath, self.top, self.lanes, self.note)


def kernel_context(datapath: Datapath, top: str, lanes: int, note: str) -> dict[str, Any]:
    """What every template of a stage's Verilog may name."""
    core = core_context(datapath, top)
    clocked = any(stage.registers for stage in core["stages"])
    return {
        "top": top,
        "expression": datapath.expression,
        "note": note,
        "input": datapath.input,
        "output": datapath.output,
        "in_bits": byte_bits(datapath.input),
        "out_bits": byte_bits(datapath.output),
        "lanes": lanes,
        "latency": datapath.latency,
        "error": _error(datapath.certificate),
        "target": datapath.target,
        "clock_mhz": f"{datapath.clock_mhz:g}",
        "version": VERSION,
        "note_lines": note.splitlines(),
        "rtl_parts": RTL_PARTS,
        "core": {**core, "clocked": clocked},
    }


def _error(certificate: Certificate) -> dict[str, Any]:
    """The certificate for people: four decimals, the largest error rounded up, though never to 0.5 or 1."""
    mean, error, steps = certificate.mean_error_ulp, certificate.max_error_ulp, 10**4
    while math.ceil(error * steps) / steps in (0.5, 1.0) and error not in (0.5, 1.0):
        steps *= 10
    return {
        "largest": math.ceil(error * steps) / steps,
        "mean": None if mean is None else round(mean, 4),
        "worst_code": certificate.worst_code,
        "codes": certificate.codes,
    }
