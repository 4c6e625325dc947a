"""The stage ``share``: one unit of all functions of a run's integer network, as a kernel package."""

from __future__ import annotations

from hwnorm.cost.cost import Resources, stage_resources
from hwnorm.emit.package import emit_kernel
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.integers.operations import IntegerFunction
from hwnorm.kernel.manifest import MANIFEST
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.products import SHARE
from hwnorm.runs.seals import share_seal
from hwnorm.runs.settings import target_of
from hwnorm.share.form import Form
from hwnorm.share.forms import offers, pick
from hwnorm.share.functions import Functions
from hwnorm.share.stored import PACKAGE, StoredForm, StoredShare, layers_of
from hwnorm.stages.quantize import integer_network
from hwnorm.targets.target import Target
from hwnorm.verify.packages import verify_packages
from hwnorm.verify.toolchain import find_toolchain

#: The Verilog module.
TOP = "hwnorm_shared"


def share(run: RunFolder, form: Form | None = None, jobs: int = 1) -> StoredShare:
    """Write and return ``share.json``, and the verified package ``share/`` before it.

    Args:
        form: how the unit is built; the cheapest way by the cost model if None.
        jobs: processes at a time for the verification.

    Raises:
        InputError: no integers, no function among them, or what is asked for cannot be built; a tool is
            missing.
        ToolError: a tool failed.
    """
    functions = run_functions(run)
    folder = run.path / PACKAGE
    tools = digest(find_toolchain().versions)
    made_from = run.made_from(SHARE, None, tools=tools, options=digest(form))
    if run.has(SHARE, made_from, beside=(folder / "verdict.json",)) and run.stale(SHARE) is None:
        return run.read(SHARE)
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder}: is no package, and would be replaced; move it away")
    target = target_of(run.settings)
    found = offers(functions, target, run.settings.clock_mhz, TOP, run.settings.lanes)
    picked = pick(found, form)
    assert picked.stage is not None
    emit_kernel(picked.stage, folder, resources=picked.resources)
    (verdict,) = verify_packages([folder], seed=run.settings.seed, jobs=jobs)
    stored = StoredShare(
        seal=share_seal(run.path),
        form=picked.form,
        forms=tuple(StoredForm.of(offer) for offer in found),
        separate=separate_resources(functions, run.settings.lanes, target),
        layers=layers_of(functions),
        passed=verdict.passed,
    )
    run.write(SHARE, stored, made_from, beside=(folder,))
    return stored


def run_functions(run: RunFolder) -> Functions:
    """The functions of a run's integer network: of norms, activations, and where a stream is narrowed.

    Raises:
        InputError: no integers, or no function among them.
    """
    operations = integer_network(run).operations
    return Functions.of([(op.out, op.datapath) for op in operations if isinstance(op, IntegerFunction)])


def separate_resources(functions: Functions, lanes: int, target: Target) -> Resources:
    """What a stream stage for each function is predicted to take, all together."""
    each = [stage_resources(function, lanes, target) for function in functions.functions]
    return Resources(
        lut=sum(part.lut for part in each),
        ff=sum(part.ff for part in each),
        dsp=sum(part.dsp for part in each),
        bram=sum(part.bram for part in each),
        area=round(sum(part.area for part in each), 1),
        cost=round(sum(part.cost for part in each), 1),
    )
