"""Run a model piece by piece: activations are carried from block to block, not computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.data.images import ImageSet
from hwnorm.norms import example_images


class _Seen(Exception):
    """All that was asked for has been seen; the rest of the forward pass is not needed."""


class _Carried(nn.Module):
    """Stands in for a block that was passed already, and returns its output."""

    def __init__(self) -> None:
        super().__init__()
        self.tensor = torch.empty(0)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.tensor


def chained_blocks(model: nn.Module) -> nn.Sequential | nn.ModuleList | None:
    """``model.blocks`` if each block's output is, as it is, the first argument of the next."""
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList):
        return None
    seen: list[tuple[nn.Module, Any, Any]] = []
    handles = [
        block.register_forward_hook(lambda module, args, output: seen.append((module, args[0], output)))
        for block in blocks
    ]
    try:
        with torch.no_grad():
            model(example_images(model))
    finally:
        for handle in handles:
            handle.remove()
    in_order = [module for module, _, _ in seen] == list(blocks)
    linked = all(first[2] is second[1] for first, second in pairwise(seen))
    return blocks if in_order and linked else None


class Walk:
    """A model, and what its images have become at the block reached so far.

    Memory: the activations of all images at one block, float32. A model without a plain chain of
    blocks stays at its start: every pass is then a whole one.
    """

    def __init__(self, model: nn.Module, images: ImageSet, batch: int) -> None:
        self.model, self.images, self.batch = model, images, batch
        self.blocks = chained_blocks(model)
        self.at = 0
        self.carried: list[Tensor] = []

    def block_of(self, name: str) -> int:
        """Index of the block that holds the module ``name``; the number of blocks for what follows them."""
        if self.blocks is None:
            return 0
        head, _, rest = name.partition(".")
        return int(rest.partition(".")[0]) if head == "blocks" else len(self.blocks)

    def advance(self, block: int) -> None:
        """Carry the activations forward to the input of ``block``."""
        while self.blocks is not None and self.at < block:
            last = f"blocks.{self.at}"
            self.carried = [taps[last] for taps in self.passes([], [last])]
            self.at += 1

    def passes(self, inputs: Sequence[str], outputs: Sequence[str]) -> Iterator[dict[str, Tensor]]:
        """For each batch, run on from here until all named modules were seen; yield what they saw.

        ``inputs`` names modules whose input is wanted, ``outputs`` those whose output is; a module can be in
        one of them.
        """
        taps: dict[str, Tensor] = {}
        wanted = len(inputs) + len(outputs)

        def keep(name: str, tensor: Tensor) -> None:
            taps[name] = tensor
            if len(taps) == wanted:
                raise _Seen

        def on_input(name: str) -> Any:
            return lambda module, args: keep(name, args[0])

        def on_output(name: str) -> Any:
            return lambda module, args, output: keep(name, output)

        modules = {name: self.model.get_submodule(name) for name in (*inputs, *outputs)}
        handles = [modules[name].register_forward_pre_hook(on_input(name)) for name in inputs]
        handles += [modules[name].register_forward_hook(on_output(name)) for name in outputs]
        try:
            with self._skipping() as stand_in:
                for pixels, carried in self._batches():
                    stand_in.tensor = carried
                    taps.clear()
                    with suppress(_Seen):
                        self.model(pixels)
                    yield dict(taps)
        finally:
            for handle in handles:
                handle.remove()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self.at:
            for pixels, _ in self.images.batches(self.batch):
                yield pixels, torch.empty(0)
            return
        shape = example_images(self.model).shape[1:]
        for carried in self.carried:
            # The blocks passed already return what was carried: the pixels no longer matter.
            yield torch.zeros(len(carried), *shape), carried

    @contextmanager
    def _skipping(self) -> Iterator[_Carried]:
        stand_in = _Carried()
        passed = list(self.blocks)[: self.at] if self.blocks is not None else []
        try:
            for i in range(len(passed)):
                self.blocks[i] = stand_in  # type: ignore[index]
            yield stand_in
        finally:
            for i, block in enumerate(passed):
                self.blocks[i] = block  # type: ignore[index]
