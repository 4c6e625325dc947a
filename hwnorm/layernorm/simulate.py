"""``rtl/layernorm.v`` in Verilator, through cocotb: the AXI4-Stream contract that kernels are held to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnorm.emit.stimulus import USER_WIDTH, tdata
from hwnorm.fixed import FixedFormat
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.resources import resource
from hwnorm.tools import ToolError
from hwnorm.verify.runner import Runner
from hwnorm.verify.toolchain import find_toolchain

_TOP = "layernorm"


@dataclass(frozen=True)
class Tokens:
    """What a LayerNorm is sent and must give back.

    ``x`` and ``y`` are codes of shape (tokens, channels), ``gamma`` and ``beta`` of shape (channels,).
    """

    x: np.ndarray
    y: np.ndarray
    gamma: np.ndarray | None = None
    beta: np.ndarray | None = None


def write_affine(design: LayerNormDesign, tokens: Tokens, folder: Path) -> None:
    """Write ``gamma.hex`` and ``beta.hex``: a word a beat, lane 0 lowest, elements side by side."""
    for name, codes, fmt in (("gamma", tokens.gamma, design.gamma), ("beta", tokens.beta, design.beta)):
        if codes is not None and fmt is not None:
            words = _packed(np.asarray(codes).reshape(-1, design.lanes), fmt)
            digits = -(-fmt.width * design.lanes // 4)
            text = "\n".join(f"{word:0{digits}x}" for word in words)
            (folder / f"{name}.hex").write_text(text + "\n", encoding="ascii")


def _packed(codes: np.ndarray, fmt: FixedFormat) -> list[int]:
    mask = (1 << fmt.width) - 1
    return [sum((code & mask) << (fmt.width * i) for i, code in enumerate(row)) for row in codes.tolist()]


def simulate(
    design: LayerNormDesign,
    tokens: Tokens,
    folder: Path,
    *,
    seed: int = 0,
    rtl: Path | None = None,
    tests: str = "",
    jobs: int = 2,
) -> list[list[str]]:
    """Build the model in ``folder``, run ``sim/test_axis.py`` on it, and return each test's faults.

    Args:
        design: what to build.
        tokens: what is sent, and what must come back in every bit.
        folder: for the model, files and logs.
        seed: of frames, users, stalls and resets.
        rtl: a folder with other sources of the same names.
        tests: a regular expression that picks tests of ``test_axis.py``; empty takes all three.
        jobs: C++ compilers at a time.

    Raises:
        ToolError: Verilator, g++ or the simulation itself failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_affine(design, tokens, folder)
    plan = {"seed": seed, "kernels": [_plan(design, tokens, seed)]}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    faults = folder / "protocol.json"
    faults.unlink(missing_ok=True)
    toolchain = find_toolchain()
    runner = Runner(toolchain, jobs)
    log = folder / "build.log"
    sources = [
        resource("sim") / "layernorm.vlt",
        *(source if rtl is None else rtl / source.name for source in design.sources),
    ]
    try:
        runner.build_model(
            sources, _TOP, folder / "model", log, design.parameters() | {"USER_WIDTH": USER_WIDTH}
        )
        log = runner.run_tests(["test_axis"], _TOP, folder / "model", folder, seed, tests)
        found: list[list[str]] = json.loads(faults.read_text(encoding="utf-8"))[_TOP]
    except (OSError, RuntimeError, SystemExit) as error:
        output = log.read_text(encoding="utf-8") if log.exists() else ""
        raise ToolError(f"LayerNorm: simulation failed ({error}); see {log}", output, f"less {log}") from None
    return found


def _plan(design: LayerNormDesign, tokens: Tokens, seed: int) -> dict[str, Any]:
    """Beats for ``test_axis.py``; TLAST and TUSER at random, since they mean nothing to a LayerNorm."""
    rng = np.random.default_rng(seed)
    sent = tdata(np.asarray(tokens.x).reshape(-1, design.lanes), design.input)
    back = tdata(np.asarray(tokens.y).reshape(-1, design.lanes), design.output)
    last = rng.random(len(sent)) < 0.1
    last[-1] = True
    users = rng.integers(1 << USER_WIDTH, size=len(sent))
    beats = [list(beat) for beat in zip(sent, back, users.tolist(), last.tolist(), strict=True)]
    return {"top": _TOP, "prefix": "", "latency": design.latency, "beats": beats}
