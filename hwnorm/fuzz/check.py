"""Checks cases: bit-true, certificate and cells one by one, Verilator and HLS for all of them at once."""

from __future__ import annotations

import re
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnorm.datapath.ir import Datapath
from hwnorm.emit import emit_package
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.fuzz import oracle
from hwnorm.fuzz.case import Case, Failure, Outcome, Refused
from hwnorm.fuzz.cores import sweep_cores
from hwnorm.kernel.package import load_package
from hwnorm.kernel.stimulus import codes_to_send
from hwnorm.tools import ToolError
from hwnorm.verify.csim import run_csim
from hwnorm.verify.kernel import Kernel, load_kernel
from hwnorm.verify.packages import FLOAT_SLACK_ULP, judge, torch_distances
from hwnorm.verify.toolchain import Toolchain, cache_folder

#: Up to this input width every code is sent; beyond it, as many codes as this has, drawn at random.
_EXHAUSTIVE_WIDTH = 12
#: So many codes are computed again in exact rational arithmetic.
_ORACLE_CODES = 40

#: What is run over the kernels of many cases at once: kind of failure -> what was found, by top.
Tool = Callable[[Sequence[Kernel], Toolchain, Path], dict[str, Failure]]


@dataclass(frozen=True)
class _Broken(Exception):
    """A check that did not hold."""

    failure: Failure


def check_cases(cases: Sequence[Case], toolchain: Toolchain, tools: Mapping[str, Tool]) -> list[Outcome]:
    """What becomes of each case.

    Everything but the ``tools`` is always checked; a case that fails there is not given to them, and
    one that fails in a tool is not given to the next. A tool that breaks off is run again on halves of
    its cases, until the one that it cannot digest is alone.
    """
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="hwnorm-fuzz.") as folder:
        kernels: dict[int, Kernel] = {}
        for number, case in enumerate(cases):
            made = _software(case, Path(folder) / f"k{number}")
            outcomes.append(None if isinstance(made, Kernel) else made)
            if isinstance(made, Kernel):
                kernels[number] = made
        for name, tool in tools.items():
            asked = [
                n for n, k in kernels.items() if outcomes[n] is None and (name != STREAM or cases[n].stream)
            ]
            found = _divided([kernels[n] for n in asked], name, tool, toolchain)
            for n in asked:
                outcomes[n] = found.get(kernels[n].top)
    return outcomes


def _divided(kernels: Sequence[Kernel], name: str, tool: Tool, toolchain: Toolchain) -> dict[str, Failure]:
    """Run a tool; if it breaks off, on each half."""
    if not kernels:
        return {}
    try:
        with tempfile.TemporaryDirectory(prefix="hwnorm-fuzz.") as folder:
            return tool(kernels, toolchain, Path(folder))
    except ToolError as error:
        if len(kernels) == 1:
            return {kernels[0].top: Failure(f"{name} breaks off", f"{error}\n{error.output[-2000:]}")}
    half = len(kernels) // 2
    return _divided(kernels[:half], name, tool, toolchain) | _divided(kernels[half:], name, tool, toolchain)


# --- one case ----------------------------------------------------------------------------------------


def _software(case: Case, folder: Path) -> Kernel | Failure | Refused:
    """Lower a case, compare the datapath with what it must be, and emit it."""
    try:
        datapath = case.lower()
    except InputError as error:
        return Refused(_reason(str(error)))
    except Exception as error:
        return _crash("lowering", error)
    try:
        codes = codes_to_send(datapath.input, seed=0, width=_EXHAUSTIVE_WIDTH)
        results = datapath.evaluate(codes)
        _compare_with_oracle(datapath, codes, results)
        _compare_with_float(case, datapath, codes, results)
    except _Broken as broken:
        return broken.failure
    except Exception as error:
        return _crash("evaluation", error)
    try:
        emit_package(datapath, folder.name, folder, lanes=case.lanes)
        return Kernel(load_package(folder), codes[:, None])
    except Exception as error:
        return _crash("emission", error)


def _crash(where: str, error: Exception) -> Failure:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    kind = f"{where} crashes: {type(error).__name__} in {Path(frame.filename).name}, {frame.name}"
    trace = "".join(traceback.format_exception(error))[-3000:]
    return Failure(kind, f"{type(error).__name__}: {error}\n{trace}")


def _reason(message: str) -> str:
    """A refusal's message without what differs from case to case."""
    text = message.split("; ")[0]
    # What stands before ": " is the part of the expression; "clock 250 MHz" is not.
    text = text.split(": ", 1)[-1]
    text = re.sub(r"[su]\d+f\d+", "FORMAT", text)
    text = re.sub(r"\(.*\)", "(...)", text)
    text = re.sub(r"[a-z0-9]+(_[a-z0-9]+)+", "NAME", text)
    return re.sub(r"-?\d[\d.]*(e[-+]?\d+)?", "N", text)[:90]


def _compare_with_oracle(datapath: Datapath, codes: np.ndarray, results: np.ndarray) -> None:
    """The last and all other cells at some codes against exact rational arithmetic."""
    for at in np.linspace(0, len(codes) - 1, min(_ORACLE_CODES, len(codes)), dtype=int):
        try:
            expected = oracle.run(datapath.nodes, int(codes[at]))
        except AssertionError as error:
            raise _Broken(Failure("oracle: a cell does not come out even", str(error))) from None
        for node, code in zip(datapath.nodes, expected, strict=True):
            if not node.fmt.min_code <= code <= node.fmt.max_code:
                what = f"{node.cell} {node.name} is {code} at input code {codes[at]}, beyond {node.fmt}"
                raise _Broken(Failure(f"oracle: {node.cell} overflows", what))
        if expected[-1] != results[at]:
            what = f"input code {codes[at]}: expected {expected[-1]}, evaluate gives {results[at]}"
            raise _Broken(Failure("oracle: another result", what))


def _compare_with_float(case: Case, datapath: Datapath, codes: np.ndarray, results: np.ndarray) -> None:
    """The certificate against the bound that was asked for and against PyTorch in double precision."""
    claimed = datapath.certificate.max_error_ulp
    # Half a step is as near as a rounded result can be: a tie counts as met.
    if not (claimed < case.max_error_ulp or claimed <= 0.5):
        what = f"{claimed} ulp certified, below {case.max_error_ulp} asked for"
        raise _Broken(Failure("certificate: beyond the bound", what))
    distance = torch_distances(case.expression, datapath, codes, results)
    worst = int(distance.argmax())
    if distance[worst] > claimed + FLOAT_SLACK_ULP:
        what = f"input code {codes[worst]}: {distance[worst]} ulp off, {claimed} certified"
        raise _Broken(Failure("certificate: exceeded", what))


# --- tools, over many ----------------------------------------------------------------------------------


def _differences(kind: str, kernels: Sequence[Kernel], got: Mapping[str, np.ndarray]) -> dict[str, Failure]:
    found = {}
    for kernel in kernels:
        codes, expected, results = kernel.codes[:, 0], kernel.results[:, 0], got[kernel.top]
        differ = np.flatnonzero(results != expected)
        if len(differ):
            at = differ[0]
            found[kernel.top] = Failure(
                f"{kind} differs",
                f"{len(differ)} of {len(codes)} results, first at input code {codes[at]}: "
                f"expected {expected[at]}, got {results[at]}",
            )
    return found


def _verilator(kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path) -> dict[str, Failure]:
    """Every core against the datapath, with clock enables, and Verilator's warnings."""
    library = cache_folder() / "fuzz" / digest(toolchain.versions)
    library.mkdir(parents=True, exist_ok=True)
    results, warnings = sweep_cores(kernels, toolchain, folder, library)
    # A wrong result tells more than a warning about it.
    warned = {
        top: Failure(f"{VERILATOR} warns: {said.split(':')[0]}", said) for top, said in warnings.items()
    }
    return warned | _differences(VERILATOR, kernels, results)


def _hls(kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path) -> dict[str, Failure]:
    """Every C++ function against the datapath."""
    return _differences(HLS, kernels, run_csim(kernels, toolchain, folder, "-O0"))


def _stream(kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path) -> dict[str, Failure]:
    """Everything that ``hwnorm verify`` checks of a package."""
    packages = [load_kernel(kernel.folder, seed=0) for kernel in kernels]
    found = {}
    for verdict in judge(packages, toolchain, seed=0, jobs=1):
        if not verdict.passed:
            problems = verdict.problems()
            found[verdict.top] = Failure(f"{STREAM}: {problems[0].split(':')[0]}", "\n".join(problems))
    return found


VERILATOR, HLS, STREAM = "Verilator", "HLS", "stream"
#: In the order in which they are run.
TOOLS: dict[str, Tool] = {VERILATOR: _verilator, HLS: _hls, STREAM: _stream}


def tools_for(failure: Failure) -> dict[str, Tool]:
    """The tool that found a failure; none if it was found without one."""
    return {name: tool for name, tool in TOOLS.items() if failure.kind.startswith(name)}
