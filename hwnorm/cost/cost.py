"""The hardware cost of a datapath on a target, and the delays that its pipeline is cut by.

    area = sum over operations of context * area alone  +  tables  +  registers, where they have an area

Operations and register bits are those of :mod:`hwnorm.cost.structure`; the coefficients come from
synthesis (:mod:`hwnorm.characterize.characterize`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hwnorm.cost.structure import Structure, Table, structure, whole_table
from hwnorm.cost.tables import table_parts
from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.cells.base import Operation
from hwnorm.datapath.ir import Cell, Datapath, Node
from hwnorm.targets.target import TABLE_BITS, Target

#: A shift register of LUTs holds so many bits.
_SHIFT_REGISTER_BITS = 16


@dataclass(frozen=True, slots=True)
class Resources:
    """Predicted cost of a datapath of one lane, or of its whole stream stage.

    ``area`` counts NAND2 equivalents or um2 where the target's unit is one of them, and is 0 elsewhere;
    ``lut`` is 0 there.
    """

    lut: int
    ff: int
    dsp: int
    bram: int
    area: float
    #: One figure of all that and of the latency, by the target's weights.
    cost: float


def resources(nodes: Sequence[Node], latency: int, target: Target) -> Resources:
    """The cost of scheduled nodes: one lane, without the stream wrapper."""
    return price(structure(nodes, latency), latency, target)


def price(built: Structure, latency: int, target: Target) -> Resources:
    """The cost of a structure whose pipeline has ``latency`` stages."""
    area, ff, dsp = _core(built, target)
    return weighed(area, ff, dsp, latency, target)


def stage_resources(datapath: Datapath, lanes: int, target: Target) -> Resources:
    """The cost of the AXI4-Stream stage of so many lanes that a package holds."""
    built = structure(datapath.nodes, datapath.latency)
    area, ff, dsp = _core(built, target)
    stream_area, stream_ff = wrapper(lanes, built.inputs, datapath.latency, target)
    area = lanes * area + stream_area
    ff = lanes * ff + stream_ff
    return weighed(area, ff, lanes * dsp, datapath.latency, target)


def wrapper(lanes: int, inputs: int, latency: int, target: Target) -> tuple[float, float]:
    """Area and flip-flops of a stage's stream around its lanes, each of which reads ``inputs`` bits."""
    # TUSER, TLAST, and of each lane TKEEP and the data; bits that nobody reads are stored by nobody.
    parts = target.cost("skid", 2 + lanes * (1 + inputs)), target.cost("pipe", latency)
    area, ff = sum(part.area for part in parts), sum(part.ff for part in parts)
    kept_area, kept_ff = _registers(latency, lanes, target)
    return area + kept_area, ff + kept_ff


def _core(built: Structure, target: Target) -> tuple[float, float, float]:
    """Area, flip-flops and DSP blocks."""
    area = ff = dsp = 0.0
    for _, part_area, part_ff, part_dsp in _parts(built, target):
        area += part_area
        ff += part_ff
        dsp += part_dsp
    return area, ff, dsp


def _parts(built: Structure, target: Target) -> Iterator[tuple[str, float, float, float]]:
    """What the core is made of: a kind, with its area, flip-flops and DSP blocks; kinds may come again."""
    for (kind, size), count in built.operations:
        alone = target.cost(kind, *size)
        yield kind, count * alone.area * target.context[kind], 0.0, count * alone.dsp
    yield "table", sum(table_area(table, target) for table in built.tables), 0.0, 0.0
    for length, count in built.registers:
        yield "register", *_registers(length, count, target), 0.0


def _registers(length: int, count: int, target: Target) -> tuple[float, float]:
    """Area and flip-flops of ``count`` bits that wait ``length`` cycles."""
    if 0 < target.shift_register <= length:
        return float(count * -(-length // _SHIFT_REGISTER_BITS)), 0.0
    ff = float(length * count)
    return target.register_area * ff if target.unit != "LUT" else 0.0, ff


def area_by_kind(nodes: Sequence[Node], latency: int, target: Target) -> dict[str, float]:
    """The area of scheduled nodes by kinds of operations, in the target's unit; one lane.

    The parts sum to the ``lut`` or ``area`` of :func:`resources` before that is rounded. ``table`` is the
    lookups, ``register`` the shift registers, and the flip-flops where the unit is no LUT.
    """
    found: dict[str, float] = {}
    for kind, area, _, _ in _parts(structure(nodes, latency), target):
        if area:
            found[kind] = found.get(kind, 0.0) + area
    return found


def cycles_by_kind(nodes: Sequence[Node], latency: int, target: Target) -> dict[str, float]:
    """The latency of scheduled nodes by kinds of operations, in cycles; the parts sum to ``latency``.

    Each stage is one cycle; the operations on its slowest path share it by their times. ``skid`` is the
    multiplexer of the stream's buffer before the input; a stage of wires alone is ``register``'s.
    """
    times = delays(nodes, target)
    paths = path_times(nodes, times)
    found: dict[str, float] = {}
    for stage in range(latency):
        here = [paths[i] for i, node in enumerate(nodes) if node.stage == stage]
        whole, path = max(here, key=lambda path: path[0], default=(0.0, []))
        if not whole:
            found["register"] = found.get("register", 0.0) + 1.0
            continue
        for i in path:
            steps = [(kind, target.cost(kind, *size).delay_ns) for kind, size in _steps(nodes[i], nodes)]
            for kind, time in steps:
                # A node's time holds its wires too: they are its operations' in proportion.
                share = times[i] / whole * time / sum(t for _, t in steps) if time else 0.0
                name = "skid" if nodes[i].cell is Cell.INPUT else kind
                found[name] = found.get(name, 0.0) + share
    return found


def table_area(table: Table, target: Target) -> float:
    """The area of one table."""
    row = target.table_row(table.address_bits)
    alone, levels = table_terms(table, target)
    return row.functions * alone + sum(a * b for a, b in zip(row.levels, levels, strict=True))


def table_terms(table: Table, target: Target) -> tuple[float, list[int]]:
    """What the coefficients of a table's row weigh: the columns' functions alone, and the levels."""
    parts = table_parts(table)
    most = min(table.address_bits, TABLE_BITS.stop - 1)
    levels = [*parts.levels, *(0,) * most][: max(0, most - 1)]
    if table.address_bits > most:
        levels[-1] = sum(parts.levels[most - 2 :])
    return sum(function_area(inputs, target) for inputs in parts.inputs), levels


def function_area(inputs: int, target: Target) -> float:
    """The area of one Boolean function of so many inputs; it doubles with each beyond the measured ones."""
    most = len(target.functions) + 1
    return target.functions[min(inputs, most) - 2] * 2.0 ** max(0, inputs - most)


def weighed(area: float, ff: float, dsp: float, latency: int, target: Target, bram: int = 0) -> Resources:
    """So much area in the target's unit, and what it counts by the target's weights."""
    weights = target.weights
    cost = weights.area * area + weights.ff * ff + weights.dsp * dsp + weights.cycle * latency
    cost += weights.bram * bram
    luts = target.unit == "LUT"
    return Resources(
        lut=round(area) if luts else 0,
        ff=round(ff),
        dsp=round(dsp),
        bram=bram,
        area=0.0 if luts else round(area, 1),
        cost=round(cost, 1),
    )


def fmax_mhz(nodes: Sequence[Node], target: Target) -> float:
    """The clock that scheduled nodes reach behind the stream's skid buffer."""
    return 1000.0 / (target.register_ns + longest_path(nodes, target))


def longest_path(nodes: Sequence[Node], target: Target) -> float:
    """The time of the slowest stage in ns, without the registers'."""
    return max(times for times, _ in path_times(nodes, delays(nodes, target)))


def path_times(nodes: Sequence[Node], times: Sequence[float]) -> list[tuple[float, list[int]]]:
    """For each node the time of the slowest path to it within its stage, and the nodes on that path."""
    found: list[tuple[float, list[int]]] = []
    for i, (node, time) in enumerate(zip(nodes, times, strict=True)):
        before = [found[a] for a in node.args if nodes[a].stage == node.stage]
        slowest, path = max(before, key=lambda b: b[0], default=(0.0, []))
        found.append((slowest + time, [*path, i]))
    return found


def delays(nodes: Sequence[Node], target: Target) -> list[float]:
    """The time of each node in ns, in order, wires to the next one included."""
    return [
        target.path_factor * logic + target.table_spread_ns * spread
        for logic, spread in path_terms(nodes, target)
    ]


def path_terms(nodes: Sequence[Node], target: Target) -> list[tuple[float, float]]:
    """What a target's coefficients of time weigh: the operations' delays, and how far a table spreads."""
    terms = []
    for node in nodes:
        logic = sum(target.cost(kind, *size).delay_ns for kind, size in _steps(node, nodes))
        spread = 0.0
        if target.flow.pnr and len(node.table) > 1:
            spread = math.sqrt(table_area(whole_table(node.table, node.fmt.width), target))
        terms.append((logic, spread))
    return terms


def _steps(node: Node, nodes: Sequence[Node]) -> list[Operation]:
    """The operations of a node, one behind the other, by kinds and widths."""
    return CELLS[node.cell].steps(node, [nodes[a] for a in node.args])
