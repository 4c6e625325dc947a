"""A network as operations in order of execution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnorm.graph.operations import Linear, Operation

#: The tensor that a graph begins with.
IMAGES = "images"


@dataclass(frozen=True, eq=False)
class Graph:
    """Operations, each of which reads images or what an operation before it has made.

    The last one makes the output: (n, 1, classes), or of features (n, 1, channels).
    """

    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        known = {IMAGES}
        for operation in self.operations:
            for name in operation.reads:
                if name not in known:
                    raise ValueError(f"{operation.out!r} reads {name!r}, which nothing before it makes")
            if operation.out in known:
                raise ValueError(f"two operations make {operation.out!r}")
            known.add(operation.out)

    @property
    def output(self) -> str:
        return self.operations[-1].out

    @property
    def linears(self) -> tuple[Linear, ...]:
        return tuple(op for op in self.operations if isinstance(op, Linear))

    def consumers(self, name: str) -> tuple[Operation, ...]:
        """The operations that read a tensor."""
        return tuple(op for op in self.operations if name in op.reads)

    def steps(self) -> Iterator[tuple[Operation, tuple[str, ...]]]:
        """Each operation with the tensors that nothing reads after it."""
        last = {name: i for i, op in enumerate(self.operations) for name in op.reads}
        for i, op in enumerate(self.operations):
            yield op, tuple(name for name in dict.fromkeys(op.reads) if last[name] == i)

    def walk(self, images: Tensor) -> Iterator[tuple[Operation, dict[str, Tensor]]]:
        """Each operation, once it is computed, with the tensors at hand: its own and what is read yet."""
        values = {IMAGES: images}
        for op, done in self.steps():
            values[op.out] = op(*(values[name] for name in op.reads))
            yield op, values
            for name in done:
                del values[name]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """The output for images (n, C, H, W): (n, classes or channels)."""
        for op, values in self.walk(images):
            found = values[op.out]
        return found.flatten(1)

    def trace(self, images: Tensor) -> dict[str, Tensor]:
        """The images and every tensor that an operation makes, by name; gradients flow."""
        values = {IMAGES: images}
        for op in self.operations:
            values[op.out] = op(*(values[name] for name in op.reads))
        return values
