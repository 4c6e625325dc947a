"""Networks between real numbers and integers: to see what each step costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from hwnorm.fixed import FixedFormat
from hwnorm.graph.graph import IMAGES, Graph
from hwnorm.graph.operations import Linear, Softmax
from hwnorm.integer.formats import quantized


class Rounded(nn.Module):
    """A prepared graph in floating point, whose weights are those of codes, and some tensors rounded.

    Args:
        graph: prepared (:mod:`hwnorm.integer.prepare`).
        weights: of each linear layer weight and bias, as its codes have them.
        formats: of the tensors that are rounded; none where weights alone are quantized.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, tuple[Tensor, Tensor]],
        formats: Mapping[str, FixedFormat],
    ) -> None:
        super().__init__()
        self.formats = formats
        self.operations = tuple(
            replace(op, weight=weights[op.out][0], bias=weights[op.out][1]) if isinstance(op, Linear) else op
            for op in graph.operations
        )

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        values = {IMAGES: images}
        for op in self.operations:
            reads = [values[name] for name in op.reads]
            found = op(reads[0] * math.log(2)) if isinstance(op, Softmax) else op(*reads)
            fmt = self.formats.get(op.out)
            values[op.out] = found if fmt is None else quantized(found, fmt)
        return values[self.operations[-1].out].flatten(1)
