"""Proof by Yosys' SAT solver that a package's combinational core gives the datapath's code for every input.

The reference is a table of what ``Datapath.evaluate`` gives for each input code: it shares no cell and no
line of Verilog with the core. That the pipelined core equals the combinational one is left to simulation.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnorm.emit.render import render
from hwnorm.fixed import FixedFormat
from hwnorm.tools import ToolError, tool_environment
from hwnorm.verify.kernel import Kernel

#: The widest input that is tried: products of 12 bits take five seconds, of 14 bits two minutes.
PROVABLE_WIDTH = 12
#: After so many seconds a proof is given up.
PATIENCE = 300.0


@dataclass(frozen=True)
class Proof:
    """``outcome`` is "proven", or why not; ``counterexample`` the input code, the output expected and got."""

    outcome: str
    counterexample: tuple[int, int, int] | None = None


def prove(kernel: Kernel, yosys: str, folder: Path) -> Proof:
    """Prove ``TOP_comb`` equal to its kernel, or find an input code for which it is not.

    Args:
        kernel: the package.
        yosys: the program.
        folder: for the files and the log; a folder of the kernel's name is made in it.

    Raises:
        ToolError: Yosys cannot read the core.
    """
    fmt, output = kernel.stream.input, kernel.stream.output
    if fmt.width > PROVABLE_WIDTH:
        return Proof(f"not proven: {fmt.width} input bits; at most {PROVABLE_WIDTH} are tried")
    work = folder / f"{kernel.top}.formal"
    work.mkdir()
    shutil.copy(kernel.comb, work)
    codes = np.roll(fmt.codes(), fmt.min_code)
    golden = kernel.stream.evaluate(codes) & ((1 << output.width) - 1)
    context = {"top": kernel.top, "input": fmt, "output": output, "golden": golden.tolist()}
    for name in ("reference.v", "prove.ys"):
        (work / name).write_text(render(f"verify/{name}.j2", context), encoding="utf-8")
    command = [yosys, "-s", "prove.ys"]
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=tool_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Proof(f"not proven: no answer within {PATIENCE:g} s")
    (work / "yosys.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode == 0:
        return Proof("proven")
    found = dict(re.findall(r"\\(in_x|gold_y|gate_y)\s.*\s([01]+)\s*$", done.stdout, flags=re.MULTILINE))
    if len(found) != 3:
        raise ToolError(
            f"{kernel.folder}: Yosys could not compare the combinational core; see {work / 'yosys.log'}",
            done.stdout[-2000:] + done.stderr,
            f"cd {work} && {yosys} -s prove.ys",
        )
    code, expected, got = (
        _code(found["in_x"], fmt),
        _code(found["gold_y"], output),
        _code(found["gate_y"], output),
    )
    return Proof(f"refuted: input code {code}: expected {expected}, got {got}", (code, expected, got))


def _code(bits: str, fmt: FixedFormat) -> int:
    value = int(bits, 2)
    return value - (1 << fmt.width) if value > fmt.max_code else value
