"""One run of Yosys, and one of nextpnr: Verilog in, counts and clock out, every log kept."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnorm.emit.render import render
from hwnorm.errors import InputError
from hwnorm.synth.flow import Counts, design_counts, module_counts, state_cells, technology
from hwnorm.targets.target import Flow, liberty_path
from hwnorm.tools import YOSYS, call, find_tool

#: The seed of the placer.
PNR_SEED = 1


@dataclass(frozen=True)
class Synthesis:
    """What Yosys made of a design: the whole, its modules without their submodules, and their levels.

    ``levels`` is the number of cells on the longest path of each module between registers or ports; there
    are none where modules were synthesized one by one, and a netlist then only where it was asked for.
    """

    total: Counts
    modules: dict[str, Counts]
    levels: dict[str, int]
    folder: Path
    #: Yosys' ``stat -json``.
    stat: Mapping[str, Any]

    @property
    def netlist(self) -> Path:
        """The netlist, as nextpnr reads it."""
        return self.folder / "netlist.json"


def synthesize(
    sources: Sequence[Path],
    top: str,
    flow: Flow,
    folder: Path,
    parameters: Mapping[str, int | str] | None = None,
    yosys: str = YOSYS,
    by_module: bool = False,
    boxes: Sequence[str] = (),
    joined: bool = False,
) -> Synthesis:
    """Synthesize Verilog in ``folder``, which is made and keeps script, log, netlist and statistics.

    Args:
        sources: files; they are copied, since YoWASP's tools see no other folder for sure.
        top: the module.
        flow: of the target.
        parameters: of the top module, as Yosys writes them.
        yosys: the command.
        by_module: each module is synthesized once and stays apart; without it the design is flattened.
        boxes: names of modules, or Yosys' patterns of them, whose insides are left out.
        joined: with ``by_module``, write the netlist of all modules put together behind their synthesis;
            what is counted are the modules as they were before.

    Raises:
        ToolError: Yosys failed; its message and the command to repeat are in the error.
        InputError: there is no Yosys, or the technology has no flow by modules.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if source.parent != folder:
            shutil.copy(source, folder)
    used = technology(flow.technology)
    script = used.by_module if by_module else used.script
    if not script:
        raise InputError(f"technology {flow.technology}: no flow that keeps modules apart is known")
    liberty = ""
    states: frozenset[str] = frozenset()
    if flow.liberty:
        path = liberty_path(flow)
        states = state_cells(path)
        shutil.copy(path, folder / "cells.lib")
        liberty = "cells.lib"
    context = {
        "sources": [source.name for source in sources],
        "top": top,
        "parameters": parameters or {},
        "script": script.format(options=flow.options, liberty=liberty).replace("; ", "\n"),
        "boxes": boxes,
        "whole": not by_module,
        "joined": joined,
        "liberty": liberty,
    }
    (folder / "synth.ys").write_text(render("synth/synth.ys.j2", context), encoding="utf-8")
    call([find_tool(yosys), "-s", "synth.ys"], folder / "yosys.log", f"synthesis of {top}", folder)
    stat = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
    paths = "" if by_module else (folder / "paths.txt").read_text(encoding="utf-8")
    found = re.findall(r"Longest topological path in \\?(\S+) \(length=(\d+)\)", paths)
    return Synthesis(
        design_counts(flow.technology, stat, states),
        module_counts(flow.technology, stat, states),
        {name: int(length) for name, length in found},
        folder,
        stat,
    )


@dataclass(frozen=True)
class Placement:
    """What nextpnr reports: the clock that its placement reaches, and the whole report."""

    fmax_mhz: float
    report: dict[str, Any]


def place_and_route(
    netlist: Path, flow: Flow, clock_mhz: float, folder: Path, timing: bool = False, router: str = ""
) -> Placement:
    """Place and route a netlist for a clock; ``timing`` asks for the arrival times of every net.

    ``router`` is nextpnr's own unless it is given.

    Raises:
        ToolError: nextpnr failed.
        InputError: the target has no place and route, or nextpnr is not installed.
    """
    if not flow.pnr:
        raise InputError(f"technology {flow.technology}: no open tool places and routes it; leave --pnr out")
    command = [
        find_tool(flow.pnr),
        *flow.pnr_options.split(),
        *(
            "--json",
            netlist.name,
            "--report",
            "pnr.json",
            "--freq",
            f"{clock_mhz:g}",
            "--seed",
            str(PNR_SEED),
        ),
        *(["--detailed-timing-report"] if timing else []),
        *(["--router", router] if router else []),
        "--timing-allow-fail",
    ]
    call(command, folder / "nextpnr.log", f"place and route of {netlist}", folder)
    report = json.loads((folder / "pnr.json").read_text(encoding="utf-8"))
    clocks = [clock["achieved"] for clock in report["fmax"].values()]
    if not clocks:
        raise InputError(f"{netlist}: has no path between registers, and so no clock")
    return Placement(min(clocks), report)


def stage_sources(package: Path, top: str) -> list[Path]:
    """The files of a package's AXI4-Stream stage; the combinational core is not part of it."""
    return sorted(path for path in (package / "rtl").glob("*.v") if path.stem != f"{top}_comb")
