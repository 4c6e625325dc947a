"""Measures a target by synthesis: ``hwnorm characterize``.

Four steps, each kept in a work folder, so that an interrupted measurement goes on:

1. every operation over a grid of widths, each a module, is synthesized: area, flip-flops, DSP blocks;
2. where the target can be placed and routed, the same operations between registers: delays;
3. random kernels (:mod:`hwnorm.characterize.samples`), core and tables apart: what tables take by their
   contents, and how much of an operation's area alone it takes among others;
4. some of these placed and routed: how a path's time follows from the times of its operations.

:mod:`hwnorm.characterize.measure` runs the tools, :mod:`hwnorm.characterize.fit` fits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hwnorm.characterize.fit import fit_context, fit_paths, fit_tables, unfitted
from hwnorm.characterize.grid import Operation, operations, random_functions
from hwnorm.characterize.measure import (
    Work,
    lowered,
    measure_clocks,
    measure_kernels,
    measure_operations,
    measure_times,
)
from hwnorm.files import write_text
from hwnorm.synth.flow import Counts, technology
from hwnorm.targets.target import CONTEXT, TABLE_BITS, Row, Target
from hwnorm.tools import YOSYS, versions_of

#: The random kernels that coefficients are fitted to: their sequence, and how many of it.
FIT_SEED = 1
FIT_KERNELS = 400
#: So many of them are placed and routed.
PLACED_KERNELS = 60
#: Estimates, in levels of logic: a carry block on the way through, and a product in a DSP block.
CARRY_LEVELS = 0.15
DSP_LEVELS = 6.0
CARRIED = (
    "add", "sub", "constant_sum", "operand", "negate", "magnitude", "round", "compare", "compare_constant",
)  # fmt: skip


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
    plain = head.changed(
        measured_with=_versions(work),
        register_ns=times["register"],
        path_factor=1.0,
        table_spread_ns=0.0,
        cells=_rows(grid, counted, times, head.unit),
        context=dict.fromkeys(CONTEXT, 1.0),
        functions=functions,
        tables=tuple(unfitted(bits) for bits in TABLE_BITS),
    )
    work.target = plain
    kernels = measure_kernels(work, lowered(work, FIT_SEED, FIT_KERNELS))
    fitted = fit_tables(plain, kernels)
    fitted = fit_context(fitted, kernels)
    if head.flow.pnr:
        placed = [m.datapath for m in kernels[:PLACED_KERNELS]]
        fitted = fit_paths(fitted, placed, measure_clocks(work, placed))
    write_text(out, fitted.model_dump_json(indent=1) + "\n")
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


def _rows(
    grid: Sequence[Operation],
    counted: Mapping[str, tuple[Counts, int]],
    times: Mapping[str, float],
    unit: str,
) -> dict[str, tuple[Row, ...]]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for o in grid:
        counts = counted[o.name][0]
        area = counts.in_unit(unit)
        if o.kind == "operand":  # what is more than a sum of two
            area = max(0.0, area - counted[f"add_{o.w}"][0].in_unit(unit))
        delay = round(times.get(o.name, 0.0), 3)
        row = Row(size=o.size, area=round(area, 3), ff=counts.ff, dsp=counts.dsp, delay_ns=delay)
        rows[o.kind].append(row)
        if o.kind == "mul" and o.w != o.v:
            rows[o.kind].append(row.model_copy(update={"size": o.size[::-1]}))
    return {kind: tuple(found) for kind, found in rows.items()}


def _functions(counted: Mapping[str, tuple[Counts, int]], unit: str) -> tuple[float, ...]:
    areas: defaultdict[int, list[float]] = defaultdict(list)
    for o in random_functions():
        areas[o.w].append(counted[o.name][0].in_unit(unit))
    return tuple(round(float(np.mean(areas[n])), 3) for n in sorted(areas))
