"""Measures a target by synthesis: ``hwnorm characterize``.

Four steps, each kept in a work folder, so that an interrupted measurement goes on:

1. every operation over a grid of widths, each a module, is synthesized: area, flip-flops, DSP blocks;
2. where the target can be placed and routed, the same operations between registers: delays;
3. random kernels (:mod:`hwnorm.targets.samples`), core and tables apart: what tables take by their contents,
   and how much of an operation's area alone it takes among others, both by non-negative least squares
   of the relative error;
4. some of these placed and routed: how a path's time follows from the times of its operations.
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

import numpy as np
from scipy.optimize import nnls

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.serial import from_json, to_json
from hwnorm.datapath.structure import structure
from hwnorm.emit.package import emit_package, kernel_context
from hwnorm.emit.render import render
from hwnorm.errors import InputError
from hwnorm.files import digest, write_text
from hwnorm.progress import track
from hwnorm.resources import resource
from hwnorm.synth.flow import Counts, technology
from hwnorm.synth.synthesize import Placement, place_and_route, stage_sources, synthesize
from hwnorm.synth.tools import YOSYS, versions_of
from hwnorm.targets.cost import longest_path, table_terms
from hwnorm.targets.grid import Operation, operations, random_functions
from hwnorm.targets.samples import Sample, draw_sample
from hwnorm.targets.target import CONTEXT, TABLE_BITS, Row, TableRow, Target, load_target
from hwnorm.version import VERSION
from hwnorm.workers import processes

#: The random kernels that coefficients are fitted to: their sequence, and how many of it.
FIT_SEED = 1
FIT_KERNELS = 240
#: Modules a run of the synthesizer, kernels a run, and kernels that are placed and routed.
CHUNK = 80
KERNELS = 20
PLACED_KERNELS = 30
#: Constraint for place and route: beyond reach, so that nextpnr does what it can.
FAST_MHZ = 500.0
#: Tables of no more address bits are taken as they are: a function of so few inputs is one that was measured.
EXACT_BITS = 2
#: Estimates, in levels of logic: a carry block on the way through, and a product in a DSP block.
CARRY_LEVELS = 0.15
DSP_LEVELS = 6.0
CARRIED = (
    "add", "sub", "constant_sum", "operand", "negate", "magnitude", "round", "compare", "compare_constant",
)  # fmt: skip
#: Relative errors of kernels smaller than this count as if they were of this size.
SMALL = 2.0
_TIMED = 40


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
            folder.mkdir(parents=True, exist_ok=True)
            source = folder / "operations.v"
            context = {"modules": chunk, "timed": False}
            source.write_text(render("characterize/operations.v.j2", context), encoding="utf-8")
            parts = [resource("rtl") / f"hwnorm_axis_{part}.v" for part in ("skid", "pipe")]
            found = synthesize([source, *parts], "top", flow, folder, yosys=work.yosys)
            return {o.name: (asdict(found.modules[o.name]), found.levels.get(o.name, 1)) for o in chunk}

        return run

    chunks = [wanted[i : i + CHUNK] for i in range(0, len(wanted), CHUNK)]
    found = work.all("operations", {_name("operations", c): task(c) for c in chunks})
    return {
        name: (Counts(**counts), levels) for part in found.values() for name, (counts, levels) in part.items()
    }


def _name(label: str, chunk: Sequence[Any]) -> str:
    parts = [c.name if isinstance(c, Operation) else str(c) for c in chunk]
    return f"{label}-{digest(VERSION, parts)}"


def measure_times(work: Work, wanted: Sequence[Operation]) -> dict[str, float]:
    """Arrival time in ns at the registers behind each operation, clock to output included, by module name."""
    flow = work.target.flow

    def task(chunk: Sequence[Operation]) -> Callable[[Path], Any]:
        def run(folder: Path) -> Any:
            folder.mkdir(parents=True, exist_ok=True)
            source = folder / "operations.v"
            source.write_text(
                render("characterize/operations.v.j2", {"modules": chunk, "timed": True}), encoding="utf-8"
            )
            # Flat, so that the netlist holds no module that nextpnr does not know.
            text = source.read_text(encoding="utf-8").replace("(* keep_hierarchy *)\n", "")
            source.write_text(text, encoding="utf-8")
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
        if len(chunks[-1]) == _TIMED or size + takes > luts / 3:
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
        core = render("verilog/core.v.j2", kernel_context(datapath, f"k{i}", 1, ""))
        texts.append(core.replace(f"module k{i}_core (", f"(* keep_hierarchy *)\nmodule k{i}_core (", 1))
        ports += [
            f"input [{datapath.input.width - 1}:0] x{i}",
            f"output [{datapath.output.width - 1}:0] y{i}",
        ]
        instances.append((f"k{i}_core", f"u{i}", f"x{i}", f"y{i}"))
    texts.append(render("characterize/cores.v.j2", {"ports": ports, "instances": instances}))
    return "\n".join(texts)


# --- the file ---------------------------------------------------------------------------------------------


def characterize(head: Target, folder: Path, out: Path, *, jobs: int = 1, yosys: str = YOSYS) -> Target:
    """Measure ``head`` anew and write it to ``out``.

    Args:
        head: a target; its name, unit, device, flow, weights and estimates are taken over.
        folder: for the measurements; those that lie there already are not made again.
        out: the JSON file.
        jobs: runs of the tools at a time.
        yosys: the synthesizer's command.

    Raises:
        ToolError: a tool failed.
        InputError: a tool is missing.
    """
    work = Work(folder, head, yosys, jobs)
    grid = operations(logic_only=head.device.dsp == 0)
    counted = measure_operations(work, [*grid, *random_functions()])
    times = _times(work, grid, counted)
    functions = _functions(counted, head.unit)
    plain = head.model_copy(
        update={
            "measured_with": _versions(work),
            "register_ns": times["register"],
            "path_factor": 1.0,
            "cells": _rows(grid, counted, times, head.unit),
            "context": dict.fromkeys(CONTEXT, 1.0),
            "functions": functions,
            "tables": tuple(_unfitted(bits) for bits in TABLE_BITS),
        }
    )
    plain = Target.model_validate(plain.model_dump())
    work.target = plain
    kernels = measure_kernels(work, lowered(work, FIT_SEED, FIT_KERNELS))
    fitted = fit_tables(plain, kernels)
    fitted = fit_context(fitted, kernels)
    if head.flow.pnr:
        fitted = fit_paths(fitted, work, [m.datapath for m in kernels[:PLACED_KERNELS]])
    fitted = Target.model_validate(fitted.model_dump())
    write_text(out, fitted.model_dump_json(indent=1) + "\n")
    load_target.cache_clear()
    return fitted


def _versions(work: Work) -> str:
    flow = work.target.flow
    tools = [versions_of(tool) for tool in (work.yosys, flow.pnr) if tool]
    script = technology(flow.technology).script.format(options=flow.options, liberty=flow.liberty)
    return f"{'; '.join(tools)}: {script}"


def _times(
    work: Work, grid: Sequence[Operation], counted: Mapping[str, tuple[Counts, int]]
) -> dict[str, float]:
    """The time of each operation by module name, and of a bare ``register``."""
    head = work.target
    timed = [o for o in grid if not o.clocked]
    if not head.flow.pnr:
        estimates = {o.name: head.level_ns * _levels(o, *counted[o.name], head.unit) for o in timed}
        return estimates | {"register": head.register_ns}
    wires = [Operation("wire", (w,), w, 0, 0, w) for w in (8, 16)]
    arrivals = measure_times(work, [*wires, *timed])
    register = float(np.mean([arrivals[wire.name] for wire in wires]))
    return {o.name: max(0.0, arrivals.get(o.name, 0.0) - register) for o in timed} | {"register": register}


def _levels(operation: Operation, counts: Counts, length: int, unit: str) -> float:
    """Levels of logic on the longest path; a carry block and a DSP block weighed as what they take."""
    if counts.dsp:
        return DSP_LEVELS
    if unit == "LUT" and operation.kind in CARRIED:
        return 1.0 + CARRY_LEVELS * (length - 1)
    return float(length)


def _area(counts: Counts, unit: str) -> float:
    return float(counts.lut) if unit == "LUT" else counts.area


def _rows(
    grid: Sequence[Operation],
    counted: Mapping[str, tuple[Counts, int]],
    times: Mapping[str, float],
    unit: str,
) -> dict[str, tuple[Row, ...]]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for o in grid:
        counts = counted[o.name][0]
        area = _area(counts, unit)
        if o.kind == "operand":  # what is more than a sum of two
            area = max(0.0, area - _area(counted[f"add_{o.w}"][0], unit))
        delay = round(times.get(o.name, 0.0), 3)
        row = Row(size=o.size, area=round(area, 3), ff=counts.ff, dsp=counts.dsp, delay_ns=delay)
        rows[o.kind].append(row)
        if o.kind == "mul" and o.w != o.v:
            rows[o.kind].append(row.model_copy(update={"size": o.size[::-1]}))
    return {kind: tuple(found) for kind, found in rows.items()}


def _functions(counted: Mapping[str, tuple[Counts, int]], unit: str) -> tuple[float, ...]:
    areas: defaultdict[int, list[float]] = defaultdict(list)
    for o in random_functions():
        areas[o.w].append(_area(counted[o.name][0], unit))
    return tuple(round(float(np.mean(areas[n])), 3) for n in sorted(areas))


def _unfitted(bits: int) -> TableRow:
    last = bits == TABLE_BITS.stop - 1
    levels = (0.0,) * max(0, bits - 2) + ((1.0 if last else 0.0,) if bits > 1 else ())
    return TableRow(address_bits=bits, functions=0.0 if last else 1.0, levels=levels)


def fit_tables(target: Target, kernels: Sequence[Measured]) -> Target:
    """Coefficients of tables, by non-negative least squares of the relative error."""
    found: defaultdict[int, list[tuple[list[float], float]]] = defaultdict(list)
    for m in kernels:
        built = structure(m.datapath.nodes, m.datapath.latency)
        names = [node.name for node in m.datapath.nodes if len(node.table) > 1]
        for name, table in zip(names, built.tables, strict=True):
            if name not in m.tables:
                continue
            bits = min(table.address_bits, TABLE_BITS.stop - 1)
            alone, levels = table_terms(table, target)
            # Functions of many inputs share most of what they have: their sum says nothing of large tables.
            alone = alone if bits < TABLE_BITS.stop - 1 else 0.0
            found[bits].append(([alone, *levels], _area(m.tables[name], target.unit)))
    rows = []
    for bits in TABLE_BITS:
        row = _unfitted(bits)
        if len(found[bits]) >= 3 * (bits + 1) and bits > EXACT_BITS:
            features, areas = (np.array(column, dtype=float) for column in zip(*found[bits], strict=True))
            weight = 1.0 / np.maximum(areas, SMALL)
            best, _ = nnls(features * weight[:, None], areas * weight)
            row = TableRow(
                address_bits=bits, functions=round(best[0], 4), levels=tuple(np.round(best[1:], 4))
            )
        rows.append(row)
    return target.model_copy(update={"tables": tuple(rows)})


def fit_context(target: Target, kernels: Sequence[Measured]) -> Target:
    """Factors of operations, by non-negative least squares of the kernels' relative errors."""
    kinds = [kind for kind in CONTEXT if kind not in ("mul", "square")]
    features, areas, totals = [], [], []
    for m in kernels:
        built = structure(m.datapath.nodes, m.datapath.latency)
        row = dict.fromkeys(kinds, 0.0)
        fixed = 0.0
        for (kind, size), count in built.operations:
            alone = count * target.cost(kind, *size).area
            if kind in row:
                row[kind] += alone
            else:
                fixed += alone
        if target.unit != "LUT":
            fixed += target.register_area * m.core.ff
        core = _area(m.core, target.unit)
        features.append(list(row.values()))
        areas.append(core - fixed)
        totals.append(_area(m.total, target.unit))
    weight = 1.0 / np.maximum(np.array(totals), SMALL)
    # A weak pull to 1 decides where the kernels say nothing.
    pull = 0.05 * np.eye(len(kinds))
    matrix = np.vstack([np.array(features) * weight[:, None], pull])
    best, _ = nnls(matrix, np.concatenate([np.array(areas) * weight, np.full(len(kinds), 0.05)]))
    context = dict.fromkeys(CONTEXT, 1.0) | {k: round(float(v), 4) for k, v in zip(kinds, best, strict=True)}
    return target.model_copy(update={"context": context})


def fit_paths(target: Target, work: Work, datapaths: Sequence[Datapath]) -> Target:
    """``register_ns`` and ``path_factor``, by non-negative least squares over placed stages."""

    def task(datapath: Datapath) -> Callable[[Path], Any]:
        def run(folder: Path) -> Any:
            return place_stage(datapath, target, folder, work.yosys).fmax_mhz

        return run

    names = [f"placed-{digest(VERSION, to_json(d))}" for d in datapaths]
    found = work.all("placed kernels", {n: task(d) for n, d in zip(names, datapaths, strict=True)})
    periods = np.array([1000.0 / found[name] for name in names])
    paths = np.array([longest_path(d.nodes, target) for d in datapaths])
    (register, factor), _ = nnls(np.stack([1.0 / periods, paths / periods], axis=1), np.ones(len(names)))
    return target.model_copy(update={"register_ns": round(register, 3), "path_factor": round(factor, 4)})


def place_stage(datapath: Datapath, target: Target, folder: Path, yosys: str) -> Placement:
    """Synthesize, place and route the AXI4-Stream stage of a datapath, one lane."""
    shutil.rmtree(folder, ignore_errors=True)
    emit_package(datapath, "kernel", folder)
    made = synthesize(stage_sources(folder, "kernel"), "kernel", target.flow, folder / "synth", yosys=yosys)
    return place_and_route(made.netlist, target.flow, datapath.clock_mhz, folder / "synth")
