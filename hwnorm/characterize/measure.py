"""Runs the tools over operations and random kernels: what each takes, and how long signals need.

Every result is kept in a work folder, so that an interrupted measurement goes on.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hwnorm.characterize.grid import Operation
from hwnorm.characterize.samples import Sample, draw_sample
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import from_json, to_json
from hwnorm.emit.package import emit_package
from hwnorm.emit.render import render
from hwnorm.emit.stage import DatapathStage
from hwnorm.errors import InputError
from hwnorm.files import digest, write_text
from hwnorm.progress import track
from hwnorm.resources import resource
from hwnorm.synth.flow import Counts
from hwnorm.synth.synthesize import place_and_route, stage_sources, synthesize
from hwnorm.targets.target import Target
from hwnorm.version import VERSION
from hwnorm.workers import processes

#: Operations a run of the synthesizer, and of place and route; kernels a run.
CHUNK = 80
TIMED_CHUNK = 40
KERNELS = 20
#: Constraint for place and route: beyond reach, so that nextpnr does what it can.
FAST_MHZ = 500.0


@dataclass(frozen=True)
class Measured:
    """A random kernel and what synthesis made of it: its core alone, each of its tables, and all of it."""

    datapath: Datapath
    core: Counts
    tables: dict[str, Counts]

    @property
    def total(self) -> Counts:
        """The core and its tables."""
        parts = [self.core, *self.tables.values()]
        sums = [sum(getattr(part, field) for part in parts) for field in ("lut", "ff", "dsp", "bram", "area")]
        return Counts(*sums)


class Work:
    """A folder of finished measurements by name; what is there is not measured again."""

    def __init__(self, folder: Path, target: Target, yosys: str, jobs: int) -> None:
        self.folder, self.target, self.yosys, self.jobs = folder, target, yosys, jobs

    def all(self, label: str, tasks: Mapping[str, Callable[[Path], Any]]) -> dict[str, Any]:
        """The results of ``tasks``, each of which gets a folder of its own and gives plain JSON types."""

        def one(name: str) -> tuple[str, Any]:
            kept = self.folder / f"{name}.json"
            if not kept.is_file():
                result = tasks[name](self.folder / name)
                write_text(kept, json.dumps(result))
            return name, json.loads(kept.read_text(encoding="utf-8"))

        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                return dict(track(pool.map(one, tasks), f"{self.target.name}: {label}", len(tasks)))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


# --- operations -------------------------------------------------------------------------------------------


def measure_operations(work: Work, wanted: Sequence[Operation]) -> dict[str, tuple[Counts, int]]:
    """Counts and levels of each operation, by module name."""
    flow = work.target.flow

    def task(chunk: Sequence[Operation]) -> Callable[[Path], Any]:
        def run(folder: Path) -> Any:
            source = _source(folder, chunk, timed=False)
            parts = [resource("rtl") / f"hwnorm_axis_{part}.v" for part in ("skid", "pipe")]
            found = synthesize([source, *parts], "top", flow, folder, yosys=work.yosys)
            return {o.name: (asdict(found.modules[o.name]), found.levels.get(o.name, 1)) for o in chunk}

        return run

    chunks = [wanted[i : i + CHUNK] for i in range(0, len(wanted), CHUNK)]
    found = work.all("operations", {_name("operations", c): task(c) for c in chunks})
    return {
        name: (Counts(**counts), levels) for part in found.values() for name, (counts, levels) in part.items()
    }


def _source(folder: Path, chunk: Sequence[Operation], *, timed: bool) -> Path:
    """The Verilog of operations, between registers if they are ``timed``."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "operations.v"
    context = {"modules": chunk, "timed": timed}
    source.write_text(render("characterize/operations.v.j2", context), encoding="utf-8")
    return source


def _name(label: str, chunk: Sequence[Any]) -> str:
    parts = [c.name if isinstance(c, Operation) else str(c) for c in chunk]
    return f"{label}-{digest(VERSION, parts)}"


def measure_times(work: Work, wanted: Sequence[Operation]) -> dict[str, float]:
    """Arrival time in ns at the registers behind each operation, clock to output included, by module name."""
    flow = work.target.flow

    def task(chunk: Sequence[Operation]) -> Callable[[Path], Any]:
        def run(folder: Path) -> Any:
            source = _source(folder, chunk, timed=True)
            made = synthesize([source], "top", flow, folder, yosys=work.yosys)
            report = place_and_route(made.netlist, flow, FAST_MHZ, folder, timing=True).report
            arrivals: defaultdict[str, float] = defaultdict(float)
            for net in report["detailed_net_timings"]:
                for end in net["endpoints"]:
                    cell = str(end["cell"])
                    if not str(end["event"]).startswith("posedge") or ".kept" not in cell:
                        continue
                    name = cell.split(".kept", 1)[0].removeprefix("u_")
                    arrivals[name] = max(arrivals[name], *end["delay"])
            return dict(arrivals)

        return run

    chunks = _fitting(wanted, work.target.device.lut)
    found = work.all("delays", {_name("delays", c): task(c) for c in chunks})
    return {name: time for part in found.values() for name, time in part.items()}


def _fitting(wanted: Sequence[Operation], luts: int) -> list[list[Operation]]:
    """The operations in parts that a device holds with room to spare: a bit by a bit is a LUT, at most."""
    chunks: list[list[Operation]] = [[]]
    size = 0.0
    for operation in wanted:
        takes = operation.a + operation.out + max(1, operation.a) * max(1, operation.b)
        if len(chunks[-1]) == TIMED_CHUNK or size + takes > luts / 3:
            chunks.append([])
            size = 0.0
        chunks[-1].append(operation)
        size += takes
    return chunks


# --- kernels ----------------------------------------------------------------------------------------------


def lowered(work: Work, seed: int, count: int) -> list[Datapath]:
    """Random kernels of a sequence, lowered for the target; those that cannot be built are left out."""
    target = work.target
    samples = [draw_sample(seed, index) for index in range(count)]
    drawn = [repr(sample) for sample in samples]
    kept = work.folder / f"lowered-{digest(VERSION, drawn, target.model_dump(mode='json'))}.json"
    if not kept.is_file():
        with processes(work.jobs) as pool:
            made = pool.map(partial(_lower, target), samples, chunksize=5)
            found = [d for d in track(made, f"{target.name}: kernels to measure", count) if d is not None]
        write_text(kept, json.dumps([to_json(d) for d in found]))
    return [from_json(data) for data in json.loads(kept.read_text(encoding="utf-8"))]


def _lower(target: Target, sample: Sample) -> Datapath | None:
    try:
        return sample.lower(target)
    except InputError:
        return None


def measure_kernels(work: Work, datapaths: Sequence[Datapath]) -> list[Measured]:
    """What synthesis makes of each kernel's pipelined core and of its tables."""

    def task(chunk: Sequence[Datapath]) -> Callable[[Path], Any]:
        def run(folder: Path) -> Any:
            folder.mkdir(parents=True, exist_ok=True)
            source = folder / "cores.v"
            source.write_text(_cores(chunk), encoding="utf-8")
            latencies = {f"k{i}_core": datapath.latency for i, datapath in enumerate(chunk)}
            write_text(folder / "latencies.json", json.dumps(latencies))
            found = synthesize([source], "top", work.target.flow, folder, yosys=work.yosys).modules
            result = []
            for i in range(len(chunk)):
                prefix = f"k{i}_core"
                tables = {
                    name.removeprefix(f"{prefix}_"): asdict(counts)
                    for name, counts in found.items()
                    if name.startswith(f"{prefix}_")
                }
                result.append((asdict(found[prefix]), tables))
            return result

        return run

    chunks = [datapaths[i : i + KERNELS] for i in range(0, len(datapaths), KERNELS)]
    names = [f"kernels-{digest(VERSION, [to_json(d) for d in chunk])}" for chunk in chunks]
    found = work.all("kernels", {name: task(chunk) for name, chunk in zip(names, chunks, strict=True)})
    results = [result for name in names for result in found[name]]
    return [
        Measured(d, Counts(**core), {name: Counts(**table) for name, table in tables.items()})
        for d, (core, tables) in zip(datapaths, results, strict=True)
    ]


def _cores(datapaths: Sequence[Datapath]) -> str:
    """The Verilog of pipelined cores, each kept apart, and a top module that has them all."""
    texts, ports, instances = [], ["input clk", "input ce"], []
    for i, datapath in enumerate(datapaths):
        core = DatapathStage(datapath, f"k{i}").sources()[f"k{i}_core.v"]
        texts.append(core.replace(f"module k{i}_core (", f"(* keep_hierarchy *)\nmodule k{i}_core (", 1))
        ports += [
            f"input [{datapath.input.width - 1}:0] x{i}",
            f"output [{datapath.output.width - 1}:0] y{i}",
        ]
        instances.append((f"k{i}_core", f"u{i}", f"x{i}", f"y{i}"))
    texts.append(render("characterize/cores.v.j2", {"ports": ports, "instances": instances}))
    return "\n".join(texts)


def measure_clocks(work: Work, datapaths: Sequence[Datapath]) -> list[float]:
    """The clock in MHz that the placed AXI4-Stream stage of each kernel reaches."""

    def task(datapath: Datapath) -> Callable[[Path], Any]:
        def run(folder: Path) -> Any:
            shutil.rmtree(folder, ignore_errors=True)
            emit_package(datapath, "kernel", folder)
            flow, built = work.target.flow, folder / "synth"
            made = synthesize(stage_sources(folder, "kernel"), "kernel", flow, built, yosys=work.yosys)
            return place_and_route(made.netlist, flow, datapath.clock_mhz, built).fmax_mhz

        return run

    names = [f"placed-{digest(VERSION, to_json(d))}" for d in datapaths]
    found = work.all("placed kernels", {n: task(d) for n, d in zip(names, datapaths, strict=True)})
    return [found[name] for name in names]
