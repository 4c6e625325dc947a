"""Cuts a datapath into pipeline stages for a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.ir import Cell, Node
from hwnorm.errors import InputError
from hwnorm.targets.target import Target


def schedule(
    nodes: Sequence[Node], delays: Sequence[float], clock_mhz: float, target: Target
) -> tuple[tuple[Node, ...], int]:
    """The nodes with their stages, and the latency in cycles (the number of stages).

    As soon as possible: a cell joins the stage of its latest argument if the sum of delays still
    fits the period less the register's own time, and opens the next stage otherwise. What is ``late``,
    as shifts and gates, moves to where it is first used, so that only what it reads is carried.

    Raises:
        InputError: the clock is no positive number, or one cell alone is slower than it.
    """
    if not 0 < clock_mhz < float("inf"):
        raise InputError(f"clock {clock_mhz:g} MHz: it must be a positive number")
    period = 1000.0 / clock_mhz - target.register_ns
    stage = [0] * len(nodes)
    arrival = [0.0] * len(nodes)
    late = [CELLS[node.cell].late for node in nodes]
    form = [CELLS[node.cell].form(node) for node in nodes]
    #: Gates that stay where they are: behind them their reader would not fit.
    held: set[int] = set()

    def gate_of(i: int) -> int | None:
        """The gate that a signal comes from through wires."""
        while late[i] and form[i] == "wires":
            i = nodes[i].args[0]
        return i if late[i] and form[i] == "gates" and i not in held else None

    def ready(args: list[int], at: int) -> float:
        """When the arguments are there in stage ``at``: gates of earlier stages are built in it."""
        here = [arrival[a] for a in args if stage[a] == at]
        moved = [delays[gate] for a in args if stage[a] < at and (gate := gate_of(a)) is not None]
        return max([*here, *moved], default=0.0)

    for i, (node, delay) in enumerate(zip(nodes, delays, strict=True)):
        if delay > period:
            reach = 1000.0 / (delay + target.register_ns)
            raise InputError(
                f"clock {clock_mhz:g} MHz: {node.cell} {node.name} ({node.part}) takes "
                f"{delay:.2f} ns on {target.name}; at most {reach:.0f} MHz is possible"
            )
        args = [a for a in node.args if nodes[a].cell is not Cell.CONSTANT]
        stage[i] = max((stage[a] for a in args), default=0)
        if ready(args, stage[i]) + delay > period:
            stage[i] += 1
            if ready(args, stage[i]) + delay > period:
                held.update(gate for a in args if (gate := gate_of(a)) is not None)
        arrival[i] = ready(args, stage[i]) + delay
    users: list[list[int]] = [[] for _ in nodes]
    for i in range(len(nodes) - 1, -1, -1):
        if users[i] and late[i] and i not in held:
            stage[i] = min(stage[u] for u in users[i])
        for a in nodes[i].args:
            users[a].append(i)
    staged = [replace(node, stage=s) for node, s in zip(nodes, stage, strict=True)]
    return tuple(_ordered(node, staged) for node in staged), stage[-1] + 1


def _ordered(node: Node, nodes: Sequence[Node]) -> Node:
    """A sum's arguments in the order that synthesis likes.

    A carry chain of LUTs takes logic before its second argument into the LUTs of the sum; the first goes
    to the carry too, so that logic before it needs LUTs of its own.
    """
    if node.cell is not Cell.ADD or not _is_logic(node.args[0], node.stage, nodes):
        return node
    if _is_logic(node.args[1], node.stage, nodes):
        return node
    return replace(node, args=node.args[::-1])


def _is_logic(i: int, stage: int, nodes: Sequence[Node]) -> bool:
    """Whether a signal is made in a stage by gates bit for bit, that is without a carry chain or a table."""
    node = nodes[i]
    if node.stage != stage:
        return False
    form = CELLS[node.cell].form(node)
    return _is_logic(node.args[0], stage, nodes) if form == "wires" else form == "gates"
