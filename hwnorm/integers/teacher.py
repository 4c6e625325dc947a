"""What the network had before it becomes integers, tensor by tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from hwnorm.graph.graph import IMAGES, Graph
from hwnorm.threads import in_threads

#: Images that are worked on together.
TOGETHER = 50


class Teacher:
    """A graph's tensors at places that are asked for in order of execution, all images of one at a time.

    Args:
        graph: of the network before.
        images: (n, C, H, W).
    """

    def __init__(self, graph: Graph, images: Tensor) -> None:
        self.graph, self.values = graph, {IMAGES: images}
        self.position = 0

    def at(self, name: str) -> Tensor:
        """All images' tensor; those that only earlier operations read are forgotten."""
        if name not in self.values:
            self._advance(name)
        return self.values[name]

    def _advance(self, name: str) -> None:
        """Compute up to a tensor."""
        names = [op.out for op in self.graph.operations]
        end = names.index(name) + 1
        todo = self.graph.operations[self.position : end]
        later = {read for op in self.graph.operations[end:] for read in op.reads} | {name}
        # A layer that joins the stream is asked for together with the stream.
        kept = [op.out for op in todo if op.out in later]

        @torch.no_grad()
        def part(start: int) -> list[Tensor]:
            values = {n: v[start : start + TOGETHER] for n, v in self.values.items()}
            for op in todo:
                values[op.out] = op(*(values[n] for n in op.reads))
            return [values[n] for n in kept]

        count = len(self.values[IMAGES])
        parts = list(in_threads(part, range(0, count, TOGETHER)))
        for i, n in enumerate(kept):
            self.values[n] = torch.cat([part[i] for part in parts])
        self.position = end
        for n in list(self.values):
            if n not in later and n != IMAGES:
                del self.values[n]
