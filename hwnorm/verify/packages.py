"""Verifies packages: every check on every one, the slow ones shared by all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from hwnorm.datapath.ir import Datapath
from hwnorm.emit.stage import ElementStage
from hwnorm.expression import parse
from hwnorm.files import digest
from hwnorm.kernel.manifest import MANIFEST, read_manifest
from hwnorm.progress import progress_bar
from hwnorm.tools import YOSYS, announce, find_tool, work_folder
from hwnorm.verify.bench import Simulation, mismatches, simulate
from hwnorm.verify.csim import Cpp, run_cpp
from hwnorm.verify.formal import Proof, prove
from hwnorm.verify.kernel import Kernel, groups, load_kernel
from hwnorm.verify.lint import lint_kernel
from hwnorm.verify.toolchain import Toolchain, find_toolchain
from hwnorm.verify.verdict import Verdict

T = TypeVar("T")

#: What float64 arithmetic may add to an error, in ulp of the output.
FLOAT_SLACK_ULP = 1e-6


@dataclass(frozen=True)
class Distance:
    """The largest distance from PyTorch in ulp, and whether each function is within its certificate."""

    largest: float
    within: bool


@dataclass(frozen=True)
class _Findings:
    """What each tool said of the kernels of one group, by top; ``hls`` and ``torch_error`` of scalar ones."""

    lint: dict[str, str]
    simulation: dict[str, Simulation]
    hls: dict[str, Cpp]
    torch_error: dict[str, Distance]
    formal: dict[str, Proof]


def verify_packages(
    folders: Sequence[Path], *, seed: int = 0, jobs: int = 2, formal: bool = False
) -> list[Verdict]:
    """Verify packages and write a ``verdict.json`` into each.

    All packages share one Verilated model and one HLS program (as long as their hand-written parts
    are the same); both are cached by content. If a tool fails, its logs stay where the error says.

    Args:
        folders: packages that :func:`hwnorm.emit.emit_kernel` wrote.
        seed: of the random stalls, of the protocol test's beats, and of the codes of wide inputs.
        jobs: processes at a time.
        formal: prove the combinational cores too, where their inputs are narrow enough.

    Returns:
        A verdict a package, in the order of ``folders``; a failed check is a verdict, not an exception.

    Raises:
        InputError: a folder holds no package or one whose files were altered, or a tool is missing.
        ToolError: a tool failed.
    """
    for folder in folders:
        read_manifest(folder)
        # Whatever becomes of this call: what lies there may be of other files.
        (folder / "verdict.json").unlink(missing_ok=True)
    kernels = [load_kernel(folder, seed) for folder in folders]
    toolchain = find_toolchain()
    yosys = find_tool(YOSYS) if formal else None
    if yosys is not None:
        announce(yosys)
    with progress_bar() as bar:
        task = bar.add_task(f"verify {len(kernels)} kernels", total=(5 if formal else 4) * len(kernels))
        verdicts = judge(kernels, toolchain, seed, jobs, lambda count: bar.advance(task, count), yosys)
    for kernel, verdict in zip(kernels, verdicts, strict=True):
        made_from = {"package": digest(kernel.folder / MANIFEST)}
        verdict.write(kernel.folder / "verdict.json", seed, made_from)
    return verdicts


def judge(
    kernels: Sequence[Kernel],
    toolchain: Toolchain,
    seed: int,
    jobs: int,
    advance: Callable[[int], None] = lambda count: None,
    yosys: str | None = None,
) -> list[Verdict]:
    """A verdict a kernel; ``advance`` is told of each kernel that one of the tools is done with.

    The combinational cores are proven if ``yosys``, the program, is given.

    Raises:
        ToolError: a tool failed.
    """
    verdicts: dict[Path, Verdict] = {}
    for group in groups(kernels):
        findings = _check(group, toolchain, yosys, seed, jobs, advance)
        for kernel in group:
            verdicts[kernel.folder] = _judge(kernel, findings, toolchain)
    return [verdicts[kernel.folder] for kernel in kernels]


def _check(
    group: Sequence[Kernel],
    toolchain: Toolchain,
    yosys: str | None,
    seed: int,
    jobs: int,
    advance: Callable[[int], None],
) -> _Findings:
    """Run every tool over a group."""
    scalar = [kernel for kernel in group if kernel.scalar]

    def whole(check: Callable[[], T]) -> T:
        result = check()
        advance(len(group))
        return result

    def one(check: Callable[[Kernel], T], kernel: Kernel) -> tuple[str, T]:
        result = check(kernel)
        advance(1)
        return kernel.top, result

    with work_folder("hwnorm-verify.") as folder:
        # The slowest first; they are other programs' work, so threads are enough.
        with ThreadPoolExecutor(max(jobs, 1)) as pool:
            simulation = pool.submit(whole, lambda: simulate(group, toolchain, folder, seed=seed, jobs=jobs))
            hls = pool.submit(whole, lambda: run_cpp(scalar, toolchain, folder) if scalar else {})
            torch_error = [pool.submit(one, _torch_error, kernel) for kernel in scalar]
            linted = [pool.submit(one, lambda k: lint_kernel(k, toolchain), kernel) for kernel in group]
            proofs = (
                [pool.submit(one, lambda k: prove(k, yosys, folder), kernel) for kernel in scalar]
                if yosys
                else []
            )
            findings = _Findings(
                dict(future.result() for future in linted),
                simulation.result(),
                hls.result(),
                dict(future.result() for future in torch_error),
                dict(future.result() for future in proofs),
            )
        return findings


def torch_distances(
    expression: str, datapath: Datapath, codes: np.ndarray, results: np.ndarray
) -> np.ndarray:
    """How far results are from the float64 PyTorch function at input codes, in ulp of the output.

    Where the function leaves the output's range it counts clamped, as in the certificate; where it is
    not a number, as infinitely far away.
    """
    fmt = datapath.output
    with torch.no_grad():
        x = torch.from_numpy(datapath.input.to_float(codes))
        y = parse(expression).to_module().double()(x).clamp(fmt.low, fmt.high).numpy()
    distance = np.abs(y / fmt.ulp - results)
    return np.asarray(np.where(np.isnan(distance), np.inf, distance))


def _torch_error(kernel: Kernel) -> Distance:
    stage, codes, results = kernel.stream, kernel.codes[:, 0], kernel.results[:, 0]
    assert isinstance(stage, ElementStage)
    largest, within = 0.0, True
    for piece in stage.pieces(codes):
        found = torch_distances(piece.datapath.expression, piece.datapath, piece.codes, results[piece.at])
        error = float(found.max())
        largest = max(largest, error)
        within &= error <= piece.datapath.certificate.max_error_ulp + FLOAT_SLACK_ULP
    return Distance(largest, within)


def _judge(kernel: Kernel, findings: _Findings, toolchain: Toolchain) -> Verdict:
    simulation = findings.simulation[kernel.top]
    wrong, first = mismatches(kernel, simulation)
    said = findings.lint[kernel.top]
    duration = simulation.last_result - simulation.first_result
    stream = Verdict(
        top=kernel.top,
        codes=len(kernel.codes),
        exhaustive=kernel.stream.exhaustive,
        lint_clean=not said,
        lint_message=said,
        verilator_bit_exact=wrong == 0,
        verilator_mismatches=wrong,
        first_mismatch=first,
        latency_expected=kernel.latency,
        latency_measured=simulation.first_result,
        full_rate=duration == len(kernel.codes) - 1,
        protocol_ok=not simulation.faults,
        protocol_message="; ".join(simulation.faults),
        tools=toolchain.versions,
    )
    return _with_scalar(stream, kernel, findings) if kernel.scalar else stream


def _with_scalar(stream: Verdict, kernel: Kernel, findings: _Findings) -> Verdict:
    """The verdict on a stage with what the renderings without a stream showed."""
    codes, expected = kernel.codes[:, 0], kernel.results[:, 0]
    got, fault = findings.hls[kernel.top].codes, findings.hls[kernel.top].fault
    differ = np.flatnonzero(got != expected)
    first = stream.first_mismatch
    if first is None and len(differ):
        at = differ[0]
        first = (int(codes[at]), int(expected[at]), int(got[at]))
    error = findings.torch_error[kernel.top]
    proof = findings.formal.get(kernel.top, Proof("not tried"))
    return stream.model_copy(
        update={
            "comb_differing": findings.simulation[kernel.top].comb_differing,
            "first_mismatch": first,
            "hls_bit_exact": len(differ) == 0 and not fault,
            "hls_mismatches": len(differ),
            "hls_message": fault,
            "torch_within_certificate": error.within,
            "torch_max_error_ulp": error.largest if np.isfinite(error.largest) else -1.0,
            "formal": proof.outcome,
            "formal_counterexample": proof.counterexample,
        }
    )
