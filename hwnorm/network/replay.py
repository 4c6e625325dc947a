"""Carry images through a network from layer to layer, so that nothing is computed twice."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.network.norms import (
    device_of,
    example_arguments,
    first_tensor,
    in_precision,
    traced,
)


class _Seen(Exception):
    """All that was asked for has been seen; the rest of the forward pass is not needed."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What is done when a layer begins: the outermost modules that were called once.

    ``needed`` says of each whether the rest of the network reads its output, ``pixels`` whether it reads the
    images themselves.
    """

    needed: dict[str, bool]
    pixels: bool


class Replay:
    """Batches of images in a network, and what they have become at the layer reached so far.

    What modules have returned on the way is kept, and returned again instead of computed. Memory: those of
    the kept outputs that the rest of the network reads, for all images.

    Args:
        model: in evaluation mode; its weights may change behind the layer that was reached.
        batches: images, (n, C, H, W) each, or what else the model takes, (n, ...); are gone through anew
            until none is needed any more.
        layers: names of modules that are called once, to which the images may be carried.
        example_inputs: some of such a batch, where timm's data config does not tell what the model takes.

    Raises:
        InputError: nothing tells what the model takes.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Tensor],
        layers: Iterable[str],
        *,
        example_inputs: Tensor | None = None,
    ) -> None:
        self.model, self._batches = model, batches
        (example,) = example_arguments(model, example_inputs)
        # In the model's own precision.
        example = in_precision(example, next(model.parameters()).dtype)
        self._places = _places(model, set(layers), example)
        self._place = _Place({}, True)
        self._kept: list[dict[str, Any]] = []
        self._shapes: list[torch.Size] = []
        if not self._does_without(example):
            self._places = {name: replace(place, pixels=True) for name, place in self._places.items()}

    def fork(self) -> Replay:
        """Another one at the same layer, which can be carried on by itself."""
        return copy.copy(self)

    def __len__(self) -> int:
        """How many batches there are; 0 before the first advance."""
        return len(self._kept)

    def advance(self, layer: str) -> None:
        """Carry the images on to the input of ``layer``, by the network as it is now."""
        for _ in self.advancing(layer, [layer]):
            pass

    @torch.no_grad()
    def advancing(self, layer: str, inputs: Sequence[str]) -> Iterator[dict[str, Tensor]]:
        """The same batch by batch: yields the inputs of the named modules, each pass run on to the last.

        The images have arrived when the iterator is at its end; until then weights stay as they are.
        """
        place = self._places[layer]
        new = [name for name in place.needed if name not in self._place.needed]
        kept, shapes = [], []
        for seen, returned, held, shape in self._runs(inputs, new):
            found = held | returned
            kept.append({name: _kept(found[name], needed) for name, needed in place.needed.items()})
            shapes.append(shape)
            yield seen
        self._place, self._kept, self._shapes = place, kept, shapes

    @torch.no_grad()
    def passes(self, inputs: Sequence[str], count: int | None = None) -> Iterator[dict[str, Tensor]]:
        """For each batch, run on from here until all named modules were reached; yield their inputs.

        Args:
            count: of the first so many batches; None for all.
        """
        for seen, _, _, _ in self._runs(inputs, [], count):
            yield seen

    @torch.no_grad()
    def outputs(self) -> Iterator[Tensor]:
        """The network's output for each batch."""
        with self._standing_in() as returned:
            for pixels, kept in self._states():
                returned |= kept
                yield first_tensor(self.model(pixels))

    @torch.no_grad()
    def _does_without(self, example: Tensor) -> bool:
        """Whether the images are read no more where the graph says so: a mask made of them is not in it."""
        layer = next((name for name, place in self._places.items() if not place.pixels), None)
        if layer is None:
            return True
        trial = self.fork()
        trial._batches = [example]
        trial.advance(layer)
        (found,) = trial.outputs()
        return torch.allclose(found, first_tensor(self.model(example)), 1e-3, 1e-5, equal_nan=True)

    def _runs(
        self, inputs: Sequence[str], outputs: Sequence[str], count: int | None = None
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any], torch.Size]]:
        """For each batch the inputs, the outputs, what was kept before, and the shape of the images."""
        read: dict[str, Any] = {}
        returned: dict[str, Any] = {}
        running = False

        def keep(taps: dict[str, Any], name: str, value: Any) -> None:
            if not running:
                return  # who got a batch may call modules meanwhile
            taps[name] = value
            if len(read) + len(returned) == len(inputs) + len(outputs):
                raise _Seen

        def on_input(name: str) -> Any:
            return lambda module, args: keep(read, name, args[0])

        def on_output(name: str) -> Any:
            return lambda module, args, output: keep(returned, name, output)

        get = self.model.get_submodule
        handles = [get(name).register_forward_pre_hook(on_input(name)) for name in inputs]
        handles += [get(name).register_forward_hook(on_output(name)) for name in outputs]
        try:
            with self._standing_in() as standing:
                for pixels, kept in islice(self._states(), count):
                    standing |= kept
                    read.clear()
                    returned.clear()
                    running = True
                    with suppress(_Seen):
                        self.model(pixels)
                    running = False
                    yield dict(read), dict(returned), kept, pixels.shape
        finally:
            for handle in handles:
                handle.remove()

    def _states(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        device = device_of(self.model)
        if not self._kept:
            for pixels in self._batches:
                yield pixels.to(device), {}
        elif self._place.pixels:
            for pixels, kept in zip(self._batches, self._kept, strict=True):
                yield pixels.to(device), kept
        else:
            blank = next(self.model.parameters()).new_zeros(())
            for shape, kept in zip(self._shapes, self._kept, strict=True):
                yield blank.expand(shape), kept

    @contextmanager
    def _standing_in(self) -> Iterator[dict[str, Any]]:
        """Let the modules that are done return what stands in the mapping under their names."""
        returned: dict[str, Any] = {}

        def stand_in(name: str) -> Any:
            return lambda *args, **kwargs: returned[name]

        modules = {name: self.model.get_submodule(name) for name in self._place.needed}
        try:
            for name, module in modules.items():
                # On the instance: what else others read of the module stays as it is.
                module.forward = stand_in(name)
            yield returned
        finally:
            for module in modules.values():
                del module.forward


def _kept(output: Any, needed: bool) -> Any:
    """What is only asked for its shape takes no memory."""
    return output if needed or not isinstance(output, Tensor) else output.new_zeros(()).expand(output.shape)


def _places(model: nn.Module, layers: set[str], example: Tensor) -> dict[str, _Place]:
    """By layer what is done when it begins, from some images that are traced through the model."""
    done: dict[str, int] = {}
    before: dict[str, dict[str, int]] = {}
    steps: dict[str, Any] = {}
    # What hands its input on is no step of its own: others may read the same from before it.
    passed: set[str] = set()
    alive = []  # Python's handle of a step is one object only as long as it lives.

    def on_start(layer: str) -> Any:
        return lambda module, args: before.__setitem__(layer, dict(done))

    def on_end(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            done[name] = done.get(name, 0) + 1
            steps[name] = output.grad_fn if isinstance(output, Tensor) else None
            if any(output is argument for argument in args):
                passed.add(name)
            alive.append(output)

        return hook

    handles = [model.get_submodule(layer).register_forward_pre_hook(on_start(layer)) for layer in layers]
    handles += [m.register_forward_hook(on_end(name)) for name, m in model.named_modules() if name]
    try:
        with torch.enable_grad(), traced(model, (example,)) as (leaf,):
            result = first_tensor(model(leaf))
    finally:
        for handle in handles:
            handle.remove()
    found = {}
    for layer, ended in before.items():
        once = {name for name, count in ended.items() if count == 1 == done[name]}
        outermost = [n for n in ended if n in once and not any(n.startswith(f"{outer}.") for outer in once)]
        ends = {steps[name] for name in outermost if name not in passed} - {None}
        read, pixels = _read(result.grad_fn, ends, leaf)
        found[layer] = _Place({n: steps[n] is None or steps[n] in read for n in outermost}, pixels)
    return found


def _read(root: Any, ends: set[Any], images: Tensor) -> tuple[set[Any], bool]:
    """The steps that ``root`` is computed from, looking no further than ``ends``, and if by images."""
    # Who reads numbers, of tokens, is not in the graph.
    pixels = not images.requires_grad
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        if node in ends:
            continue
        pixels |= getattr(node, "variable", None) is images
        for parent, _ in node.next_functions:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return seen, pixels
