"""What an engine's package really takes: ``hwnorm synth RUN/engine``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hwnorm.artefact import Artefact, Part
from hwnorm.engine.package import read_engine, rtl_of
from hwnorm.engine.pins import pins, ports_of
from hwnorm.engine.resources import Resources
from hwnorm.engine.stored import EngineParameters
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.kernel.manifest import MANIFEST
from hwnorm.synth.flow import instances_counts
from hwnorm.synth.package import FOLDER
from hwnorm.synth.synthesize import place_and_route, synthesize
from hwnorm.targets.target import load_target
from hwnorm.tools import YOSYS, find_tool, versions_of

TOP = "hwnorm_engine"
#: Of nextpnr's routers the quicker one for large designs.
ROUTER = "router2"
#: The file beside the package's manifest.
SYNTHESIS = "synthesis.json"


class Placed(Part):
    """What nextpnr made of an engine between few pins (:mod:`hwnorm.engine.pins`).

    ``taken`` are the device's cells by their kind and ``there`` all that it has, as nextpnr counts them;
    those of the chains are among them, a flip-flop for each of ``pin_bits`` and a LUT for each bit that
    leaves. ``path`` are the nets of the slowest path, from register to register, without the wires between
    carry cells, which take no time.
    """

    fmax_mhz: float
    taken: dict[str, int]
    there: dict[str, int]
    pin_bits: int
    path: tuple[str, ...]


class EngineSynthesis(Artefact):
    """``synthesis.json`` of an engine's package: counted by Yosys, module by module, beside predicted."""

    KIND: ClassVar[str] = "engine_synthesis"

    engine: EngineParameters
    target: str
    cycles: int
    clock_mhz: float
    counted: Resources
    predicted: Resources | None
    placed: Placed | None
    tools: str
    logs: tuple[str, ...]

    @property
    def rate(self) -> float | None:
        """Images a second at the clock that was reached; None where nothing was placed."""
        return None if self.placed is None else self.placed.fmax_mhz * 1e6 / self.cycles


def synth_engine(
    folder: Path, target: str | None = None, *, pnr: bool = False, yosys: str = YOSYS
) -> EngineSynthesis:
    """Synthesize the top of an engine's package, and write ``synthesis.json`` beside its manifest.

    Every module is synthesized once. For place and route their netlists are put together, and the ports
    get registers, since there are more than a package has pins.

    Args:
        folder: of the package.
        target: the one that it was built for, or None for that.
        pnr: place and route too, for the clock that it was built for.
        yosys: the synthesizer's command.

    Raises:
        InputError: no package, or an altered one; another target; a tool is missing, or the target has no
            place and route.
        ToolError: a tool failed.
    """
    manifest = read_engine(folder)
    device = manifest.engine.device
    if target not in (None, device):
        raise InputError(
            f"{folder}: was built for {device}, whose multipliers it shares, not for {target}; "
            f"`hwnorm engine RUN --target {target}` builds one that is"
        )
    flow = load_target(device).flow
    if pnr and not flow.pnr:
        raise InputError(f"target {device}: no open tool places and routes it; leave --pnr out")
    if pnr:
        find_tool(flow.pnr)
    texts = rtl_of(folder, manifest)
    ports = ports_of(TOP, texts[f"{TOP}.v"])
    kept = folder / FOLDER / device
    kept.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f".{device}.") as beside:
        work = Path(beside) / "work"
        work.mkdir()
        texts |= {f"{TOP}_pins.v": pins(TOP, ports)} if pnr else {}
        for name, text in texts.items():
            (work / name).write_text(text, encoding="utf-8")
        for memory in sorted((folder / "program").glob("*.mem")):
            shutil.copy(memory, work)
        top = f"{TOP}_pins" if pnr else TOP
        made = synthesize(
            [work / name for name in sorted(texts)], top, flow, work, yosys=yosys, by_module=True, joined=pnr
        )
        placed = None
        if pnr:
            found = place_and_route(made.netlist, flow, manifest.clock_mhz, work, router=ROUTER)
            placed = _placed(found.fmax_mhz, found.report, sum(port.bits for port in ports))
        shutil.rmtree(kept, ignore_errors=True)
        work.rename(kept)
    counts = instances_counts(flow.technology, made.stat, TOP)
    tools = [versions_of(yosys), *([versions_of(flow.pnr)] if pnr else [])]
    logs = ["yosys.log", *(["nextpnr.log"] if pnr else [])]
    stored = EngineSynthesis(
        engine=manifest.engine,
        target=device,
        cycles=manifest.cycles,
        clock_mhz=manifest.clock_mhz,
        counted=Resources(counts.lut, counts.ff, counts.dsp, counts.bram),
        predicted=manifest.resources,
        placed=placed,
        tools="; ".join(tools),
        logs=tuple(f"{FOLDER}/{device}/{log}" for log in logs),
    )
    stored.write(folder / SYNTHESIS, None, {"package": digest(folder / MANIFEST)})
    return stored


def _placed(fmax_mhz: float, report: Mapping[str, Any], pin_bits: int) -> Placed:
    """Of nextpnr's report: cells that are used, and the slowest path within the clock's domain."""
    used = {kind: cells for kind, cells in report["utilization"].items() if cells["used"]}
    paths = [path for path in report["critical_paths"] if path["from"] == path["to"]]
    steps = paths[0]["path"] if paths else []
    return Placed(
        fmax_mhz=round(fmax_mhz, 2),
        taken={kind: cells["used"] for kind, cells in used.items()},
        there={kind: cells["available"] for kind, cells in used.items()},
        pin_bits=pin_bits,
        path=tuple(step["net"] for step in steps if step["type"] == "routing" and step["delay"] > 0),
    )
