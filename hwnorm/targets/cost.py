"""The hardware cost of cells and of a whole datapath on a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hwnorm.datapath.ir import Cell, Node, lifetimes
from hwnorm.targets.target import CellCost, Target


@dataclass(frozen=True, slots=True)
class Resources:
    """Predicted cost of a datapath of one lane, without the stream wrapper."""

    lut: int
    ff: int
    dsp: int
    #: LUT-equivalents of all that and of the latency, by the target's weights.
    cost: float

    def to_json(self) -> dict[str, float]:
        """As plain JSON types."""
        return asdict(self)


def cell_costs(nodes: Sequence[Node], target: Target) -> list[CellCost]:
    """The cost of each node, in order."""
    absorbed = _absorbed(nodes)
    return [_WIRING if i in absorbed else _cell_cost(node, nodes, target) for i, node in enumerate(nodes)]


def _absorbed(nodes: Sequence[Node]) -> set[int]:
    """Gates and complements that fit into the LUTs of the one adder that reads them.

    A LUT before a carry chain has inputs to spare for one of its two arguments.
    """
    readers = Counter(arg for node in nodes for arg in node.args)
    found = set()
    for node in nodes:
        for arg in reversed(node.args) if node.cell in (Cell.ADD, Cell.SUB) else ():
            single = readers[arg] == 1
            while single and nodes[arg].cell is Cell.SHIFT:
                arg = nodes[arg].args[0]
                single = readers[arg] == 1
            if single and nodes[arg].cell in (Cell.GATE, Cell.COMPLEMENT_IF):
                found.add(arg)
                break
    return found


def resources(nodes: Sequence[Node], latency: int, target: Target) -> Resources:
    """Cells and pipeline registers of scheduled nodes."""
    costs = cell_costs(nodes, target)
    lut, dsp = sum(c.lut for c in costs), sum(c.dsp for c in costs)
    stages = lifetimes(nodes, latency)
    ff = sum(node.fmt.width * n for node, n in zip(nodes, stages, strict=True))
    weights = target.weights
    cost = weights.lut * lut + weights.ff * ff + weights.dsp * dsp + weights.cycle * latency
    return Resources(round(lut), ff, round(dsp), round(cost, 1))


_WIRING = CellCost(0.0, 0.0, 0.0)


def _cell_cost(node: Node, nodes: Sequence[Node], target: Target) -> CellCost:
    args = [nodes[a] for a in node.args]
    match node.cell:
        case Cell.INPUT | Cell.CONSTANT | Cell.SHIFT | Cell.LOW_BITS:
            return _WIRING
        case Cell.RESIZE:
            return _resize_cost(node, args[0], target)
        case Cell.ADD | Cell.SUB:
            # Below the binary point of the coarser argument the sum is the finer one's wires.
            fixed = args[1] if node.cell is Cell.SUB else min(args, key=lambda a: a.fmt.frac)
            wires = max(0, node.fmt.frac - fixed.fmt.frac)
            return target.cost("add", max(1, node.fmt.width - wires))
        case Cell.MIN | Cell.MAX:
            frac = max(a.fmt.frac for a in args)
            width = max(a.fmt.width + frac - a.fmt.frac for a in args)
            constant = any(a.cell is Cell.CONSTANT for a in args)
            return target.cost("clamp" if constant else "select", width)
        case Cell.MUL:
            a, b = sorted(arg.fmt.width for arg in args)
            if node.args[0] == node.args[1]:
                return target.cost("square", a)
            return target.cost("mul", a, b)
        case Cell.TABLE:
            return target.cost("table", (len(node.table) - 1).bit_length(), node.fmt.width)
        case Cell.NEG | Cell.ABS | Cell.NEGATE_IF | Cell.COMPLEMENT_IF | Cell.GATE:
            return target.cost(str(node.cell), node.fmt.width)
        case Cell.FLOAT_CODE:
            # A multiplexer a place of the exponent, each steered by the zeros before the leading one.
            places = (node.parameter - 1).bit_length()
            mux = target.cost("mux", node.parameter)
            return CellCost(
                places * (mux.lut + node.parameter / 8), 0.0, places * (mux.delay_ns + target.level_ns)
            )
        case Cell.SELECT:
            return target.cost("mux", node.fmt.width)
    raise AssertionError(node.cell)


def _resize_cost(node: Node, arg: Node, target: Target) -> CellCost:
    lut = delay = 0.0
    if node.rounding == "rnd" and arg.fmt.frac > node.fmt.frac:
        rounding = target.cost("round", max(1, arg.fmt.width - arg.fmt.frac + node.fmt.frac))
        lut, delay = rounding.lut, rounding.delay_ns
    if node.overflow == "sat":
        clamp = target.cost("saturate", node.fmt.width)
        lut, delay = lut + clamp.lut, delay + clamp.delay_ns
    return CellCost(lut, 0.0, delay)
