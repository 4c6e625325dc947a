"""What a package really takes: ``hwnorm synth``."""

from __future__ import annotations

import shutil
from pathlib import Path

from hwnorm.artefact import Artefact, Part
from hwnorm.cost.cost import Resources
from hwnorm.files import digest, read_artefact
from hwnorm.kernel.manifest import MANIFEST
from hwnorm.kernel.package import load_package
from hwnorm.synth.flow import Counts
from hwnorm.synth.kernel import synthesize_files
from hwnorm.targets.target import Target
from hwnorm.tools import YOSYS, versions_of, work_folder

#: The clock that a kernel is placed for which was made for none.
_CLOCK_MHZ = 100.0
#: The folder in a package that keeps scripts, logs and netlists, by target.
FOLDER = "synth"


class PackageSynthesis(Part):
    """The stage of one package on one target: what the tools found beside what was predicted.

    ``fmax_mhz`` is by place and route, None where it was not run; predictions are None of a kernel for
    which nobody makes them.
    """

    top: str
    target: str
    unit: str
    lanes: int
    measured: Counts
    predicted: Resources | None
    fmax_mhz: float | None
    predicted_fmax_mhz: float | None
    tools: str
    logs: tuple[str, ...]


class Synthesis(Artefact):
    """What ``synthesis.json`` holds: the package's runs by the name of the target."""

    KIND = "synthesis"

    top: str
    targets: dict[str, PackageSynthesis]


def read_synthesis(folder: Path) -> dict[str, PackageSynthesis]:
    """What was measured for a package so far, by target; nothing that was of another package in its place.

    Raises:
        InputError: ``synthesis.json`` is damaged.
    """
    path = folder / "synthesis.json"
    if not path.is_file():
        return {}
    told = read_artefact(path, Synthesis.KIND)["made_from"]
    found = Synthesis.read(path, f"`hwnorm synth {folder}` makes it again").targets
    return found if told == {"package": digest(folder / MANIFEST)} else {}


def synth_package(folder: Path, target: Target, *, pnr: bool = False, yosys: str = YOSYS) -> PackageSynthesis:
    """Synthesize a package's AXI4-Stream stage and write ``synthesis.json`` beside its manifest.

    Args:
        folder: of the package.
        target: need not be the one that the package was made for.
        pnr: place and route too.
        yosys: the synthesizer's command.

    Raises:
        InputError: no package, or an altered one; a tool is missing, or the target has no place and route.
        ToolError: a tool failed.
    """
    package = load_package(folder)
    kernel = package.kernel
    runs = read_synthesis(folder)
    kept = folder / FOLDER / target.name
    kept.parent.mkdir(exist_ok=True)
    for earlier in kept.parent.glob(f"{target.name}.failed.*"):
        shutil.rmtree(earlier, ignore_errors=True)
    with work_folder(f"{target.name}.failed.", kept.parent) as beside:
        work = beside / "work"
        work.mkdir()
        for memory in package.memories:
            shutil.copy(memory, work)
        clock = (kernel.clock_mhz or _CLOCK_MHZ) if pnr else None
        measured = synthesize_files(kernel, package.rtl, target, work, pnr_mhz=clock, yosys=yosys)
        shutil.rmtree(kept, ignore_errors=True)
        work.rename(kept)
    logs = ["yosys.log", *(["nextpnr.log"] if pnr else [])]
    tools = [versions_of(yosys), *([versions_of(target.flow.pnr)] if pnr else [])]
    predicted = kernel.fmax_mhz(target)
    found = PackageSynthesis(
        top=kernel.top,
        target=target.name,
        unit=target.unit,
        lanes=kernel.lanes,
        measured=measured.counts,
        predicted=kernel.resources(target),
        fmax_mhz=None if measured.fmax_mhz is None else round(measured.fmax_mhz, 1),
        predicted_fmax_mhz=None if predicted is None else round(predicted, 1),
        tools="; ".join(tools),
        logs=tuple(f"{FOLDER}/{target.name}/{log}" for log in logs),
    )
    whole = Synthesis(top=kernel.top, targets=runs | {target.name: found})
    whole.write(folder / "synthesis.json", None, {"package": digest(folder / MANIFEST)})
    return found
