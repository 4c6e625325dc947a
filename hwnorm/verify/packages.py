"""Verifies packages: every check on every one, the slow ones shared by all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from hwnorm.expression import parse
from hwnorm.files import digest, write_artefact
from hwnorm.progress import progress_bar
from hwnorm.verify.bench import Simulation, mismatches, simulate
from hwnorm.verify.csim import run_csim
from hwnorm.verify.kernel import EXHAUSTIVE_WIDTH, Kernel, groups, load_kernel
from hwnorm.verify.lint import lint
from hwnorm.verify.toolchain import Toolchain, find_toolchain
from hwnorm.verify.verdict import Verdict

T = TypeVar("T")

#: What float64 arithmetic may add to an error, in ulp of the output.
_FLOAT_SLACK_ULP = 1e-6


@dataclass(frozen=True)
class _Findings:
    """What each tool said of the kernels of one group, by top."""

    lint: dict[str, str]
    simulation: dict[str, Simulation]
    hls: dict[str, np.ndarray]
    torch_error: dict[str, float]


def verify_packages(folders: Sequence[Path], *, seed: int = 0, jobs: int = 2) -> list[Verdict]:
    """Verify packages and write a ``verdict.json`` into each.

    All packages share one Verilated model and one HLS program (as long as their hand-written parts
    are the same); both are cached by content. If a tool fails, its logs stay where the error says.

    Args:
        folders: packages that :func:`hwnorm.emit.emit_package` wrote.
        seed: of the random stalls, of the protocol test's beats, and of the codes of wide inputs.
        jobs: processes at a time.

    Returns:
        A verdict a package, in the order of ``folders``; a failed check is a verdict, not an exception.

    Raises:
        InputError: a folder holds no package, or a tool is missing.
        ToolError: a tool failed.
    """
    kernels = [load_kernel(folder, seed) for folder in folders]
    toolchain = find_toolchain()
    verdicts: dict[Path, Verdict] = {}
    with progress_bar() as bar:
        task = bar.add_task(f"verify {len(kernels)} kernels", total=4 * len(kernels))
        for group in groups(kernels):
            findings = _check(group, toolchain, seed, jobs, lambda count: bar.advance(task, count))
            for kernel in group:
                verdicts[kernel.folder] = verdict = _judge(kernel, findings, toolchain)
                made_from = digest(*(kernel.folder / name for name in sorted(kernel.manifest["files"])))
                path = kernel.folder / "verdict.json"
                write_artefact(path, "verdict", seed, made_from, verdict.to_json())
    return [verdicts[kernel.folder] for kernel in kernels]


def _check(
    group: Sequence[Kernel], toolchain: Toolchain, seed: int, jobs: int, advance: Callable[[int], None]
) -> _Findings:
    """Run every tool over a group; ``advance`` is told of each kernel that a tool is done with."""
    folder = Path(tempfile.mkdtemp(prefix="hwnorm-verify."))

    def whole(check: Callable[[], T]) -> T:
        result = check()
        advance(len(group))
        return result

    def one(check: Callable[[Kernel], T], kernel: Kernel) -> tuple[str, T]:
        result = check(kernel)
        advance(1)
        return kernel.top, result

    # The slowest first; they are other programs' work, so threads are enough.
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        simulation = pool.submit(whole, lambda: simulate(group, toolchain, folder, seed=seed, jobs=jobs))
        hls = pool.submit(whole, lambda: run_csim(group, toolchain, folder))
        torch_error = [pool.submit(one, torch_distance, kernel) for kernel in group]
        linted = [
            pool.submit(one, lambda k: lint([*k.rtl, *k.shared_rtl], k.top, toolchain), kernel)
            for kernel in group
        ]
        findings = _Findings(
            dict(future.result() for future in linted),
            simulation.result(),
            hls.result(),
            dict(future.result() for future in torch_error),
        )
    shutil.rmtree(folder, ignore_errors=True)
    return findings


def torch_distance(kernel: Kernel) -> float:
    """The largest distance of the datapath from the float64 PyTorch function, in ulp of the output.

    Where the function leaves the output's range it counts clamped, as in the certificate.
    """
    fmt = kernel.datapath.output
    codes = kernel.codes[:, 0]
    with torch.no_grad():
        x = torch.from_numpy(kernel.datapath.input.to_float(codes))
        y = parse(kernel.manifest["expression"]).to_module().double()(x).clamp(fmt.low, fmt.high)
    distance = np.abs(y.numpy() / fmt.ulp - kernel.results[:, 0])
    # NaN compares as false with everything: it must count as far away.
    return float(np.where(np.isnan(distance), np.inf, distance).max())


def _judge(kernel: Kernel, findings: _Findings, toolchain: Toolchain) -> Verdict:
    simulation = findings.simulation[kernel.top]
    wrong, first = mismatches(kernel, simulation)
    codes, expected, got = kernel.codes[:, 0], kernel.results[:, 0], findings.hls[kernel.top]
    differ = np.flatnonzero(got != expected)
    if first is None and len(differ):
        at = differ[0]
        first = (int(codes[at]), int(expected[at]), int(got[at]))
    said = findings.lint[kernel.top]
    error = findings.torch_error[kernel.top]
    duration = simulation.last_result - simulation.first_result
    return Verdict(
        top=kernel.top,
        codes=len(codes),
        exhaustive=kernel.datapath.input.width <= EXHAUSTIVE_WIDTH,
        lint_clean=not said,
        lint_message=said,
        verilator_bit_exact=wrong == 0,
        verilator_mismatches=wrong,
        first_mismatch=first,
        latency_expected=kernel.latency,
        latency_measured=simulation.first_result,
        full_rate=duration == len(codes) - 1,
        protocol_ok=not simulation.faults,
        protocol_message="; ".join(simulation.faults),
        hls_bit_exact=len(differ) == 0,
        hls_mismatches=len(differ),
        torch_within_certificate=error <= kernel.manifest["max_error_ulp"] + _FLOAT_SLACK_ULP,
        torch_max_error_ulp=error if np.isfinite(error) else -1.0,
        tools=toolchain.versions,
    )
