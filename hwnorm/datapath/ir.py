"""The datapath: cells on fixed-point signals, in an order in which each can be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.node import Cell, Node
from hwnorm.fixed import FixedFormat

__all__ = ["Cell", "Certificate", "Datapath", "Node", "lifetimes", "run_cell", "run_nodes"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Error of a kernel against its real-valued expression, over all ``codes`` input codes.

    In ulp of the output; where the expression leaves the output's range, it counts clamped. With
    ``exhaustive`` every code was computed: ``max_error_ulp`` occurs, at ``worst_code``. Otherwise it is a
    proven bound, and the mean and the worst code are not known.
    """

    max_error_ulp: float
    mean_error_ulp: float | None
    worst_code: int | None
    codes: int
    exhaustive: bool = True


@dataclass(frozen=True)
class Datapath:
    """An expression lowered for a format, a target and a clock. ``nodes[-1]`` drives the output.

    ``latency`` is in clock cycles from an accepted beat to its result; the result is registered, and
    a stage lies before each register, so it equals the number of stages.
    """

    expression: str
    input: FixedFormat
    output: FixedFormat
    nodes: tuple[Node, ...]
    latency: int
    target: str
    clock_mhz: float
    certificate: Certificate

    def evaluate(self, codes: np.ndarray) -> np.ndarray:
        """Input codes to output codes, bit for bit what the hardware does.

        Args:
            codes: integers within the input format, any shape.

        Returns:
            int64 codes in the output format, of the same shape.
        """
        return run_nodes(self.nodes, codes)

    def lifetimes(self) -> list[int]:
        """For each node, the number of register stages that carry its signal."""
        return lifetimes(self.nodes, self.latency)


def lifetimes(nodes: Sequence[Node], latency: int) -> list[int]:
    """For each scheduled node, the number of register stages that carry its signal.

    A signal lives until the last stage that reads it; the output until the end of the pipeline.
    """
    last = [node.stage for node in nodes]
    for node in nodes:
        for arg in node.args:
            last[arg] = max(last[arg], node.stage)
    last[-1] = latency
    return [0 if node.cell is Cell.CONSTANT else last[i] - node.stage for i, node in enumerate(nodes)]


def run_nodes(nodes: Sequence[Node], codes: np.ndarray) -> np.ndarray:
    """Evaluate ``nodes`` in order on the input ``codes`` and return the last one's (int64)."""
    codes = np.asarray(codes, dtype=np.int64)
    values: list[np.ndarray] = []
    for node in nodes:
        arguments = [values[i] for i in node.args]
        formats = [nodes[i].fmt for i in node.args]
        values.append(codes if node.cell is Cell.INPUT else run_cell(node, arguments, formats))
    return np.broadcast_to(values[-1], codes.shape).copy()


def run_cell(node: Node, args: Sequence[np.ndarray], formats: Sequence[FixedFormat]) -> np.ndarray:
    """The codes (int64) that a cell makes of its arguments' codes."""
    return np.asarray(CELLS[node.cell].evaluate(node, args, formats), dtype=np.int64)
