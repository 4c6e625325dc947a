"""Verilator through cocotb: one model of all kernels, built once for its content, and what it shows."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnorm.emit.render import render
from hwnorm.files import digest
from hwnorm.fixed import byte_bits
from hwnorm.kernel.stimulus import USER_WIDTH, tdata
from hwnorm.resources import resource
from hwnorm.tools import ToolError
from hwnorm.verify.cache import prune, use
from hwnorm.verify.kernel import Kernel, blamed, words
from hwnorm.verify.runner import BUILD_OPTIONS, Runner, install
from hwnorm.verify.toolchain import Toolchain, cache_folder

_TOP = "hwnorm_bench"


@dataclass(frozen=True)
class Simulation:
    """What Verilator showed of one kernel; ``results`` has a row a beat, None where none came.

    ``comb_differing`` counts the codes for which the combinational core gives another result; it means
    nothing of a kernel that has none.
    """

    results: list[int | None]
    comb_differing: int
    first_result: int
    last_result: int
    faults: list[str]


def simulate(
    kernels: Sequence[Kernel], toolchain: Toolchain, folder: Path, *, seed: int, jobs: int
) -> dict[str, Simulation]:
    """Sweep every kernel's codes and test its AXI4-Stream contract, all in one model.

    Args:
        kernels: of one group (:func:`hwnorm.verify.kernel.groups`).
        toolchain: where the tools are.
        folder: for the files and logs of this run.
        seed: of the stalls and of the beats in the protocol test.
        jobs: C++ compilers at a time.

    Raises:
        ToolError: Verilator, g++ or the simulation itself failed.
    """
    model = build_model(kernels, toolchain, jobs=jobs)
    for kernel in kernels:
        width = kernel.bench_context()["s_width"]
        (folder / f"{kernel.top}.codes.hex").write_text(words(kernel.beats_in(), width), encoding="ascii")
        for memory in kernel.package.memories:
            shutil.copy(memory, folder)
    plan = {"seed": seed, "kernels": [kernel.plan(seed) for kernel in kernels]}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    log = Runner(toolchain, jobs).run_tests(["test_sweep", "test_axis"], _TOP, model, folder, seed)
    try:
        swept = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
        faults = json.loads((folder / "protocol.json").read_text(encoding="utf-8"))
        if any(len(found) != 3 for found in faults.values()):
            raise ValueError("a test did not end")
        return {k.top: _collect(k, folder, swept[k.top], faults[k.top]) for k in kernels}
    except (OSError, ValueError, KeyError) as error:
        output = log.read_text(encoding="utf-8") if log.exists() else ""
        names = ", ".join(str(kernel.folder) for kernel in kernels)
        raise ToolError(
            f"{names}: the simulation broke off ({error}); see {log}",
            output,
            f"cd {shlex.quote(str(folder))} && {shlex.quote(str(model / _TOP))}",
        ) from None


def _collect(kernel: Kernel, folder: Path, swept: dict[str, int], faults: list[list[str]]) -> Simulation:
    text = (folder / f"{kernel.top}.results.hex").read_text(encoding="ascii")
    got = [int(word, 16) for word in text.split() if not word.startswith(("//", "@"))]
    received = swept["received"]
    results: list[int | None] = [*got[:received], *[None] * (len(kernel.codes) - received)]
    return Simulation(
        results,
        swept["differing"],
        swept["first_result"],
        swept["last_result"],
        [fault for test in faults for fault in test],
    )


def mismatches(kernel: Kernel, simulation: Simulation) -> tuple[int, tuple[int, int, int | None] | None]:
    """How many results differ from the kernel's own, and the first: input code, expected, got.

    A lane whose code is right but wrongly extended in TDATA counts as different.
    """
    bits, signed = byte_bits(kernel.stream.output), kernel.stream.output.signed
    expected = tdata(kernel.results, kernel.stream.output)
    wrong, first = 0, None
    for beat, (one, other) in enumerate(zip(simulation.results, expected, strict=True)):
        if one == other:
            continue
        for lane in range(kernel.lanes):
            a = None if one is None else _code(one >> (bits * lane), bits, signed)
            b = int(kernel.results[beat, lane])
            if a != b:
                wrong += 1
                first = first or (int(kernel.codes[beat, lane]), b, a)
    return wrong, first


def _code(word: int, bits: int, signed: bool) -> int:
    word &= (1 << bits) - 1
    return word - (1 << bits) if signed and word >> (bits - 1) else word


def build_model(kernels: Sequence[Kernel], toolchain: Toolchain, *, jobs: int) -> Path:
    """The folder with the Verilated model of all ``kernels``: from the cache, or built into it.

    The name is a hash of all sources, flags and tool versions. A model is built in a folder of its
    own and renamed into place, so an interrupted build leaves nothing and two at once do no harm.

    Raises:
        ToolError: Verilator or the C++ compiler failed; nothing is cached.
    """
    bench = render(
        "verify/bench.v.j2", {"kernels": [k.bench_context() for k in kernels], "user_width": USER_WIDTH}
    )
    # By its plain name, each once: a package may lie where makefiles cannot name it.
    sources = [
        resource("sim") / "hwnorm_bench.vlt",
        resource("sim") / "hwnorm_sweep.v",
        *{path.name: path for kernel in kernels for path in kernel.verilog}.values(),
    ]
    key = digest(bench.encode(), *sources, BUILD_OPTIONS, toolchain.versions)
    ready = cache_folder() / "models" / key
    if (ready / _TOP).exists():
        return use(ready)
    building = Path(tempfile.mkdtemp(prefix="hwnorm-build."))
    failed = cache_folder() / "failed" / key
    try:
        (building / f"{_TOP}.v").write_text(bench, encoding="utf-8")
        copies = {Path(shutil.copy(source, building)): source for source in sources}
        log = building / "build.log"
        try:
            Runner(toolchain, jobs).build_model(
                [*copies, building / f"{_TOP}.v"], _TOP, building / "model", log
            )
        except (RuntimeError, SystemExit):
            output = log.read_text(encoding="utf-8") if log.exists() else ""
            for copy, source in copies.items():
                output = output.replace(str(copy), str(source))
            shutil.rmtree(failed, ignore_errors=True)
            failed.mkdir(parents=True, exist_ok=True)
            (failed / "build.log").write_text(output, encoding="utf-8")
            raise _build_error(kernels, failed / "build.log", output) from None
        ready.parent.mkdir(parents=True, exist_ok=True)
        done = Path(tempfile.mkdtemp(prefix=".building.", dir=ready.parent))
        try:
            shutil.copy(building / "model" / _TOP, done)
            shutil.copy(log, done)
            install(done, ready)
        finally:
            shutil.rmtree(done, ignore_errors=True)
        prune()
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return ready


def _build_error(kernels: Sequence[Kernel], log: Path, output: str) -> ToolError:
    names = blamed(kernels, output)
    sources = dict.fromkeys(str(source) for kernel in kernels for source in kernel.rtl)
    command = shlex.join(["verilator", "--lint-only", "-Wall", *sources])
    return ToolError(f"{names}: Verilator could not build the model; see {log}", output, command)
