"""What a package really takes: ``hwnorm synth``."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnorm.cost.cost import Resources, fmax_mhz, stage_resources
from hwnorm.files import digest, read_artefact, write_artefact
from hwnorm.synth.flow import Counts
from hwnorm.synth.synthesize import place_and_route, stage_sources, synthesize
from hwnorm.synth.tools import YOSYS, versions_of
from hwnorm.targets.target import Target
from hwnorm.verify.kernel import load_kernel

#: The folder in a package that keeps scripts, logs and netlists, by target.
FOLDER = "synth"


@dataclass(frozen=True)
class PackageSynthesis:
    """The stage of one package on one target: what the tools found beside what was predicted."""

    top: str
    target: str
    unit: str
    lanes: int
    measured: Counts
    predicted: Resources
    #: By place and route; None where it was not run.
    fmax_mhz: float | None
    predicted_fmax_mhz: float
    tools: str
    logs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def synth_package(folder: Path, target: Target, *, pnr: bool = False, yosys: str = YOSYS) -> PackageSynthesis:
    """Synthesize a package's AXI4-Stream stage and write ``synthesis.json`` beside its manifest.

    Args:
        folder: of the package.
        target: need not be the one that the package was made for.
        pnr: place and route too.
        yosys: the synthesizer's command.

    Raises:
        InputError: no package, a tool is missing, or the target has no place and route.
        ToolError: a tool failed.
    """
    kernel = load_kernel(folder, seed=0)
    kept = folder / FOLDER / target.name
    kept.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f".{target.name}.") as beside:
        work = Path(beside) / "work"
        made = synthesize(stage_sources(folder, kernel.top), kernel.top, target.flow, work, yosys=yosys)
        placed = place_and_route(made.netlist, target.flow, kernel.datapath.clock_mhz, work) if pnr else None
        shutil.rmtree(kept, ignore_errors=True)
        work.rename(kept)
    logs = ["yosys.log", *(["nextpnr.log"] if placed else [])]
    tools = [versions_of(yosys), *([versions_of(target.flow.pnr)] if placed else [])]
    found = PackageSynthesis(
        top=kernel.top,
        target=target.name,
        unit=target.unit,
        lanes=kernel.lanes,
        measured=made.total,
        predicted=stage_resources(kernel.datapath, kernel.lanes, target),
        fmax_mhz=round(placed.fmax_mhz, 1) if placed else None,
        predicted_fmax_mhz=round(fmax_mhz(kernel.datapath.nodes, target), 1),
        tools="; ".join(tools),
        logs=tuple(f"{FOLDER}/{target.name}/{log}" for log in logs),
    )
    path = folder / "synthesis.json"
    runs = read_artefact(path, "synthesis")["targets"] if path.is_file() else {}
    runs[target.name] = found.to_json()
    made_from = digest(kernel.manifest["made_from"], kernel.manifest["files"])
    write_artefact(path, "synthesis", None, made_from, {"top": kernel.top, "targets": runs})
    return found
