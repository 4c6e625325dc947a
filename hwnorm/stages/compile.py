"""From an expression to a verified package, without a model."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from hwnorm.cost.cost import Resources, resources
from hwnorm.datapath.ir import Datapath
from hwnorm.emit.package import emit_package, put_in_place
from hwnorm.errors import InputError
from hwnorm.expression import Expression, parse
from hwnorm.fixed import FixedFormat, check_lanes
from hwnorm.locks import alone_in
from hwnorm.lowering.lower import lower, unfused_resources
from hwnorm.names import kernel_name
from hwnorm.targets.target import load_target
from hwnorm.verify.packages import verify_packages
from hwnorm.verify.toolchain import find_toolchain
from hwnorm.verify.verdict import Verdict
from hwnorm.workers import jobs_at_a_time

#: What the name of a package ends in that is not verified, or did not pass.
UNVERIFIED = ".unverified"


@dataclass(frozen=True)
class Compiled:
    """A package and what is known of it; ``resources`` are predicted, of one lane without its stream."""

    folder: Path
    top: str
    datapath: Datapath
    resources: Resources
    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether every check passed; if not, the name of ``folder`` ends in ``.unverified``."""
        return self.verdict.passed


def compile(
    expression: str | Expression,
    *,
    input: str | FixedFormat,
    output: str | FixedFormat,
    out: str | Path,
    target: str = "xcup",
    cost_weights: str = "",
    clock_mhz: float | None = None,
    lanes: int = 1,
    top: str = "hwnorm_kernel",
    error: float = 1.0,
    fuse: bool = True,
    jobs: int | None = None,
    force: bool = False,
) -> Compiled:
    """Turn any expression into a verified package.

    The package is written and verified beside ``out``, as ``out`` with ``.unverified`` behind it, and renamed
    when every check has passed: what lies at ``out`` is verified, and an earlier package stays until then.

    Args:
        expression: in x, such as ``"2.58*tanh(x)+0.24"``.
        input: format of x: ``"s16f11"`` is signed, 16 bits, 11 of them fractional.
        output: format of the result.
        out: the package's folder.
        target: a shipped technology, or the path of a JSON file.
        cost_weights: some of the target's weights, to be changed, such as ``"lut=1,dsp=50"``.
        clock_mhz: the clock; None takes the target's own.
        lanes: elements a beat of the stream.
        top: name of the Verilog module.
        error: bound of the error in ulp of the output: 1 is faithful, 0.5 correctly rounded.
        fuse: build parts of the expression as one unit where that is cheaper.
        jobs: processes at a time; None takes as many as there are cores. The results do not depend on it.
        force: replace the package that is there.

    Returns:
        What was found; a check that failed is a verdict, not an exception.

    Raises:
        InputError: an argument is wrong, the folder is in use, a tool is missing, or the expression cannot be
            built for this clock.
        ToolError: a tool failed.
    """
    folder = Path(out)
    if folder.name in ("", "..") or folder.is_symlink():
        folder = folder.resolve()
    if Path.cwd().is_relative_to(folder.absolute()):
        raise InputError(f"option --out: {out}: this command works in that folder; name one inside it")
    beside = folder.with_name(folder.name + UNVERIFIED)
    if not isinstance(expression, str | Expression):
        raise InputError(f"expression: {expression!r}; text such as '2.58*tanh(x)+0.24' is needed")
    formats = _format("input", input), _format("output", output)
    if not isinstance(lanes, int) or isinstance(lanes, bool) or lanes < 1:
        raise InputError(f"option --lanes: {lanes!r}; a whole number, at least 1, is needed")
    at_a_time = jobs_at_a_time(jobs)
    for name, number in (("clock", clock_mhz), ("error", error)):
        if number is not None and not isinstance(number, int | float):
            raise InputError(f"option --{name}: {number!r}; a number is needed")
    check_lanes(lanes, *(fmt.width for fmt in formats))
    technology = load_target(target, cost_weights)
    clock_mhz = technology.clock_mhz if clock_mhz is None else clock_mhz
    if not 0 < clock_mhz < math.inf:
        raise InputError(f"option --clock: {clock_mhz:g} MHz; a positive number is needed")
    if not 0 < error < math.inf:
        raise InputError(f"option --error: {error:g} ulp; a positive number is needed, such as 1.0")
    try:
        kernel_name(top)
    except ValueError as fault:
        raise InputError(f"option --top: {fault}") from None
    _check_folder(folder, force)
    _check_folder(beside, force=True)
    find_toolchain()
    parsed = parse(expression) if isinstance(expression, str) else expression
    problem = (parsed, *formats, technology, clock_mhz, error)
    datapath = lower(*problem, fuse=fuse)
    used = resources(datapath.nodes, datapath.latency, technology)
    unfused = unfused_resources(*problem) if fuse else used
    with alone_in(folder):
        _check_folder(folder, force)  # what another process made meanwhile
        emit_package(datapath, top, beside, lanes=lanes, resources=used, unfused_resources=unfused)
        try:
            (verdict,) = verify_packages([beside], jobs=at_a_time)
        except KeyboardInterrupt:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        if not verdict.passed:
            return Compiled(beside, top, datapath, used, verdict)
        put_in_place(beside, folder)
    return Compiled(folder, top, datapath, used, verdict)


def _format(name: str, given: str | FixedFormat) -> FixedFormat:
    if not isinstance(given, str | FixedFormat):
        raise InputError(f"option --{name}: {given!r}; a format is text such as 's16f11'")
    return FixedFormat.parse(given) if isinstance(given, str) else given


def _check_folder(folder: Path, force: bool) -> None:
    """Complain of a folder that is not to be replaced, or that can be none."""
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"option --out: {folder}: {above} is a file; folders are needed on the way")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; a package is a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not force:
            raise InputError(f"option --out: {folder} is not empty; choose another folder, or give --force")
        if not (folder / "manifest.json").is_file():
            raise InputError(
                f"option --out: {folder} holds other things than a package; choose another folder"
            )
