"""Networks between real numbers and integers: to see what each step costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from hwnorm.fixed import FixedFormat
from hwnorm.graph.graph import IMAGES, Graph
from hwnorm.graph.operations import Function, Linear, Operation
from hwnorm.integers.formats import quantized
from hwnorm.threads import in_threads

#: Images that are worked on together.
_TOGETHER = 10


class Rounded(nn.Module):
    """A prepared graph in floating point, whose weights are those of codes, and some tensors rounded.

    Args:
        graph: prepared (:mod:`hwnorm.integers.prepare`).
        weights: of each linear layer weight and bias, as its codes have them.
        formats: of the tensors that are rounded; none where weights alone are quantized.
        functions: bit-true ones, by module.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, tuple[Tensor, Tensor]],
        formats: Mapping[str, FixedFormat],
        functions: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        self.formats = formats

        def changed(op: Operation) -> Operation:
            if isinstance(op, Linear):
                weight, bias = weights[op.out]
                return replace(op, weight=weight, bias=bias)
            if isinstance(op, Function) and op.layer in functions:
                return replace(op, function=functions[op.layer])
            return op

        self.operations = tuple(changed(op) for op in graph.operations)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat(list(in_threads(self._part, torch.split(images, _TOGETHER))))

    @torch.no_grad()
    def _part(self, images: Tensor) -> Tensor:
        values = {IMAGES: images}
        for op in self.operations:
            found = op(*(values[name] for name in op.reads))
            fmt = self.formats.get(op.out)
            values[op.out] = found if fmt is None else quantized(found, fmt)
        return values[self.operations[-1].out].flatten(1)
