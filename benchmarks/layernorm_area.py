"""What ``rtl/layernorm.v`` takes beside kernels, all by one process of Yosys.

    python benchmarks/layernorm_area.py [--target xcup] [--run runs/demo]

LayerNorm s16f10 to s16f10, gamma and beta s16f12 from random files; "no affine" is the LayerNorm whose gamma
and beta are folded into the next layer, as those of a kernel are. A kernel's line is of its whole AXI4-Stream
stage: two published functions at the same formats, and with ``--run`` every function that the run chose.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnorm.emit.package import emit_package
from hwnorm.expression import parse, short
from hwnorm.fixed import FixedFormat
from hwnorm.layernorm import LayerNormDesign, LayerNormKernel
from hwnorm.lowering.lower import lower
from hwnorm.network.choice import read_choice
from hwnorm.synth.flow import design_counts, technology
from hwnorm.synth.synthesize import stage_sources
from hwnorm.targets.target import load_target
from hwnorm.tools import YOSYS, call, find_tool, versions_of

FORMAT, AFFINE = FixedFormat(16, 10), FixedFormat(16, 12)
KERNELS = ("2.58*tanh(x)+0.24", "-0.522*x+2.11*clip(x,5)")


@dataclass(frozen=True)
class Design:
    """One thing to synthesize: what to call it, its folder of Verilog, its top module and parameters."""

    name: str
    lanes: int
    cycles: str
    latency: int
    sources: list[Path]
    top: str
    parameters: dict[str, int]


def main() -> None:
    """Print a line a design."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", default="xcup")
    parser.add_argument("--run", type=Path, help="run folder whose chosen functions are measured too")
    args = parser.parse_args()
    target = load_target(args.target)
    if target.flow.liberty:
        parser.error("targets of standard cells have no memories; choose an FPGA")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        designs = [*layernorms(folder), *kernels(folder, args.run)]
        script = technology(target.flow.technology).script.format(options=target.flow.options, liberty="")
        lines = []
        for i, design in enumerate(designs):
            # Yosys finds gamma and beta beside the source that reads them.
            sources = " ".join(str(source.relative_to(folder)) for source in design.sources)
            sets = " ".join(f"-chparam {key} {value}" for key, value in design.parameters.items())
            lines += [
                "design -reset",
                f"read_verilog {sources}",
                f"hierarchy -check -top {design.top} {sets}",
                script,
                f"tee -q -o stat{i}.json stat -json",
            ]
        (folder / "all.ys").write_text("\n".join(lines) + "\n")
        call([find_tool(YOSYS), "-q", "-s", "all.ys"], folder / "yosys.log", "synthesis", folder)
        print(f"{versions_of(YOSYS)}: {script}")
        print("design | lanes | cycles a token | latency | LUT | FF | DSP | BRAM")
        for i, design in enumerate(designs):
            c = design_counts(target.flow.technology, json.loads((folder / f"stat{i}.json").read_text()))
            print(
                f"{design.name} | {design.lanes} | {design.cycles} | {design.latency} | "
                f"{c.lut} | {c.ff} | {c.dsp} | {c.bram}"
            )


def layernorms(folder: Path) -> list[Design]:
    """LayerNorms of 192, 384 and 768 channels, one lane and eight."""
    found = []
    for channels in (192, 384, 768):
        for lanes in (1, 8):
            for affine in (AFFINE, None):
                design = LayerNormDesign(channels, lanes, FORMAT, FORMAT, affine, affine)
                place = folder / f"norm{len(found)}"
                place.mkdir()
                gamma, beta = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, size=(2, channels))
                kernel = LayerNormKernel(design, *((gamma, beta) if affine else ()))
                for file, text in (kernel.sources() | kernel.memories()).items():
                    (place / file).write_text(text, encoding="utf-8")
                name = f"LayerNorm D = {channels}" + ("" if affine else ", no affine")
                sources = sorted(place.glob("*.v"))
                found.append(
                    Design(
                        name,
                        lanes,
                        str(design.beats),
                        design.latency,
                        sources,
                        "layernorm",
                        design.parameters(),
                    )
                )
    return found


def kernels(folder: Path, run: Path | None) -> list[Design]:
    """The stages of two published functions, and of a run's own."""
    target = load_target("xcup")
    made = [(text, lower(parse(text), FORMAT, FORMAT, target, 250.0)) for text in KERNELS]
    if run is not None:
        made += [
            (f"{c.layer}: {short(c.expression)}", c.datapath)
            for c in read_choice(run / "choice.json")
            if c.datapath is not None
        ]
    found = []
    for i, (name, datapath) in enumerate(made):
        for lanes in (1, 8) if i < len(KERNELS) else (1,):
            package = folder / f"kernel{len(found)}"
            emit_package(datapath, "stage", package, lanes=lanes)
            cycles = "D" if lanes == 1 else f"D / {lanes}"
            found.append(
                Design(name, lanes, cycles, datapath.latency, stage_sources(package, "stage"), "stage", {})
            )
    return found


if __name__ == "__main__":
    main()
