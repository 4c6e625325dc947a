"""A datapath in every lane of a stream: the kernel that stands in for a norm."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from hwnorm.cost.cost import Resources, fmax_mhz, stage_resources
from hwnorm.datapath.ir import Certificate, Datapath
from hwnorm.datapath.serial import from_json, to_json
from hwnorm.emit.hls import PARTS, hls_context
from hwnorm.emit.render import render
from hwnorm.emit.verilog import comb_context, core_context
from hwnorm.fixed import FixedFormat, byte_bits, check_lanes
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


@dataclass(frozen=True)
class Piece:
    """Some of the codes that a kernel is sent: what a function makes of them is expected.

    ``at`` are their places, ``codes`` those of the function's own input format; int64, shape (n,).
    """

    datapath: Datapath
    at: np.ndarray
    codes: np.ndarray


class ElementStage(StreamKernel):
    """``rtl/TOP.v``: each lane computes a function of each element alone. A token is one beat.

    The lane is ``rtl/TOP_core.v``. Its package holds that function without a stream, too: ``rtl/TOP_comb.v``,
    a module of ``x`` and ``y``, and ``hls/TOP.h`` and ``TOP.cpp``, a C++ function of one number. Verification
    runs all of them.
    """

    keeps = True
    #: The templates of the lane, of ``TOP_comb`` and of the C++ function.
    TEMPLATES: ClassVar[tuple[str, str, str]]

    def __init__(self, *, input: FixedFormat, output: FixedFormat, lanes: int, **told: Any) -> None:
        check_lanes(lanes, input.width, output.width)
        super().__init__(input=input, output=output, lanes=lanes, **told)

    @abstractmethod
    def inputs(self, seed: int) -> np.ndarray:
        """The codes that each lane is sent: all that there are where it is ``exhaustive``; (n,), int64."""

    @abstractmethod
    def pieces(self, codes: np.ndarray) -> Iterator[Piece]:
        """Which real function is meant at each of these codes (n,): what its certificate is held to."""

    @property
    @abstractmethod
    def certificate(self) -> Certificate:
        """What is certified of its error."""

    @property
    @abstractmethod
    def stage_context(self) -> dict[str, Any]:
        """What the templates of stage and lane name beside :func:`common_context`."""

    def more_context(self) -> dict[str, Any]:
        """What ``TOP_comb`` and the C++ function need beside that."""
        return {}

    @cached_property
    def _context(self) -> dict[str, Any]:
        return common_context(self) | {"memories": list(self.memories())} | self.stage_context

    def sources(self) -> dict[str, str]:
        return {
            f"{self.top}.v": render("verilog/stage.v.j2", self._context),
            f"{self.top}_core.v": render(self.TEMPLATES[0], self._context),
            **{
                part: (resource("rtl") / part).read_text(encoding="utf-8")
                for part in self._context["rtl_parts"]
            },
        }

    @cached_property
    def _package_context(self) -> dict[str, Any]:
        hls = {"part": PARTS.get(self.target or ""), "clock_ns": f"{1000.0 / (self.clock_mhz or 0.0):g}"}
        return self._context | hls | self.more_context()

    def function(self) -> dict[str, str]:
        """The C++ function of one number, by file: ``TOP.h`` and ``TOP.cpp``."""
        return {
            f"{self.top}.h": render("hls/kernel.h.j2", self._package_context),
            f"{self.top}.cpp": render(self.TEMPLATES[2], self._package_context),
        }

    def files(self) -> dict[str, str]:
        top, comb = self.top, self.TEMPLATES[1]
        context = self._package_context | {"vectors": len(self.inputs(seed=0))}
        rendered = {
            f"rtl/{top}_comb.v": comb,
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
            **{f"hls/{name}": text for name, text in self.function().items()},
            **{n: (resource(place) / part).read_text("utf-8") for n, (place, part) in _COPIED.items()},
            "sim/vectors.txt": self._vectors(),
        }

    def to_send(self, seed: int) -> np.ndarray:
        """All codes in every lane, each lane starting elsewhere."""
        codes = self.inputs(seed)
        return np.stack([np.roll(codes, -lane) for lane in range(self.lanes)], axis=1)

    def _vectors(self) -> str:
        """Input code and output code, one pair a line: what every testbench of the package reads."""
        codes = self.inputs(seed=0)
        pairs = zip(codes.tolist(), self.evaluate(codes).tolist(), strict=True)
        return "".join(f"{code} {result}\n" for code, result in pairs)


class DatapathStage(ElementStage):
    """Each lane computes ``datapath`` of each element: lane, combinational core and C++ of the same cells.

    Raises:
        InputError: ``top`` is no name for a module, or ``lanes`` is not positive or too many for a beat.
    """

    kind = "datapath"
    TEMPLATES = ("verilog/core.v.j2", "verilog/comb.v.j2", "hls/kernel.cpp.j2")

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

    def description(self) -> Any:
        return to_json(self.datapath)

    @classmethod
    def from_description(cls, data: Any, manifest: PackageManifest) -> DatapathStage:
        return cls(from_json(data), manifest.top, manifest.lanes, manifest.note)

    @property
    def certificate(self) -> Certificate:
        return self.datapath.certificate

    def resources(self, target: Target) -> Resources:
        return stage_resources(self.datapath, self.lanes, target)

    def fmax_mhz(self, target: Target) -> float:
        return fmax_mhz(self.datapath.nodes, target)

    def inputs(self, seed: int) -> np.ndarray:
        return codes_to_send(self.input, seed)

    def pieces(self, codes: np.ndarray) -> Iterator[Piece]:
        yield Piece(self.datapath, np.arange(len(codes)), codes)

    @property
    def exhaustive(self) -> bool:
        return self.input.width <= EXHAUSTIVE_WIDTH

    @property
    def stage_context(self) -> dict[str, Any]:
        return {"core": core_of(self.datapath, self.top)}

    def more_context(self) -> dict[str, Any]:
        top = self.top
        return {"comb": comb_context(self.datapath, top), **hls_context(self.datapath, top)}


def common_context(stage: ElementStage) -> dict[str, Any]:
    """What the templates of every element stage name: ports, formats, certificate, and where it is used."""
    return {
        "top": stage.top,
        "kind": stage.kind,
        "expression": stage.expression,
        "note": stage.note,
        "input": stage.input,
        "output": stage.output,
        "in_bits": byte_bits(stage.input),
        "out_bits": byte_bits(stage.output),
        "lanes": stage.lanes,
        "latency": stage.latency,
        "error": _error(stage.certificate),
        "target": stage.target,
        "clock_mhz": f"{stage.clock_mhz:g}",
        "version": VERSION,
        "note_lines": stage.note.splitlines(),
        "rtl_parts": RTL_PARTS,
        "load": False,
    }


def core_of(datapath: Datapath, top: str) -> dict[str, Any]:
    """What ``verilog/core.v.j2`` says of a datapath's lane."""
    core = core_context(datapath, top)
    return {**core, "clocked": any(stage.registers for stage in core["stages"])}


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
