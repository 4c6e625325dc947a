"""Run a model piece by piece: activations are carried from cut to cut, not computed again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.data.config import input_config
from hwnorm.data.imageset import ImageSet
from hwnorm.network.norms import device_of, example_images, first_tensor


class _Seen(Exception):
    """All that was asked for has been seen; the rest of the forward pass is not needed."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A module through whose output all that the rest of the network computes must pass.

    ``shape`` is that of its output for one image.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """The cuts of a model in the order of execution, and when each module starts and ends."""

    cuts: tuple[Cut, ...]
    starts: dict[str, int]
    ends: dict[str, int]

    def last_before(self, names: Sequence[str]) -> int:
        """How many cuts are passed before the first of the named modules starts."""
        first = min(self.starts[name] for name in names)
        return sum(self.ends[cut.name] < first for cut in self.cuts)


def find_route(model: nn.Module) -> Route:
    """Trace noise through the model, and find its cuts: blocks, stages, downsampling layers, ...

    A module is a cut if every path of autograd's graph from the network's output back to the image
    passes its output: paths are counted, exactly, before and behind each step.
    """
    clock = iter(range(10**9))
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    outputs: list[tuple[str, Tensor]] = []
    calls: Counter[str] = Counter()

    def on_start(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            starts.setdefault(name, next(clock))

        return hook

    def on_end(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            ends[name] = next(clock)
            calls[name] += 1
            if isinstance(output, Tensor) and not (inputs and output is inputs[0]):
                outputs.append((name, output))

        return hook

    x = example_images(model).requires_grad_()
    handles = []
    try:
        for name, module in model.named_modules():
            if name:
                handles.append(module.register_forward_pre_hook(on_start(name)))
                handles.append(module.register_forward_hook(on_end(name)))
        with torch.enable_grad():
            result = first_tensor(model(x))
    finally:
        for handle in handles:
            handle.remove()
    dominators = _dominators(result.grad_fn)
    cuts = [
        Cut(name, tuple(output.shape[1:]))
        for name, output in sorted(outputs, key=lambda found: ends[found[0]])
        if output.grad_fn in dominators and calls[name] == 1 and output.shape[:1] == x.shape[:1]
    ]
    return Route(tuple(cuts), starts, ends)


def _dominators(root: Any) -> set[Any]:
    """The steps of a graph that every path from ``root`` to the one leaf without a parameter passes."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)  # after all that it is computed from
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.next_functions if parent is not None)

    def is_image(node: Any) -> bool:
        variable = getattr(node, "variable", None)
        return variable is not None and not isinstance(variable, nn.Parameter)

    to_image: dict[Any, int] = {}
    for node in order:
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        to_image[node] = 1 if is_image(node) else sum(to_image[parent] for parent in parents)
    from_root = dict.fromkeys(order, 0)
    from_root[root] = 1
    for node in reversed(order):
        for parent, _ in node.next_functions:
            if parent is not None:
                from_root[parent] += from_root[node]
    total = to_image[root]
    return {node for node in order if total and from_root[node] * to_image[node] == total}


class Walk:
    """A model, and what its images have become at the cut reached so far.

    Memory: the activations of all images at one cut, float32 (at two, while they are carried on).

    Args:
        route: of this model, or of one with the same modules.
        constant: the model does not change on the way: what a pass sees of the next cut is kept.
    """

    def __init__(
        self, model: nn.Module, images: ImageSet, batch: int, route: Route, constant: bool = False
    ) -> None:
        self.model, self.images, self.batch, self.route = model, images, batch, route
        self.constant = constant
        self.device = device_of(model)
        self.at = 0
        self.carried: list[Tensor] = []
        self._ahead: tuple[int, list[Tensor]] = (0, [])

    def advance(self, names: Sequence[str]) -> None:
        """Carry the activations forward to the last cut before the named modules."""
        goal = self.route.last_before(names)
        if goal <= self.at:
            return
        if self._ahead[0] != goal:
            name = self.route.cuts[goal - 1].name
            self._ahead = goal, [taps[name] for taps in self.passes([], [name])]
        (self.at, self.carried), self._ahead = self._ahead, (0, [])

    def passes(self, inputs: Sequence[str], outputs: Sequence[str]) -> Iterator[dict[str, Tensor]]:
        """For each batch, run on from here until all named modules were seen; yield what they saw.

        ``inputs`` names modules whose input is wanted, ``outputs`` those whose output is; a module can be in
        one of them.
        """
        taps: dict[str, Tensor] = {}
        ahead = self._next_cut(inputs, outputs) if self.constant else None
        kept: list[Tensor] = []
        also = [self.route.cuts[ahead - 1].name] if ahead else []
        wanted = {*inputs, *outputs, *also}

        def keep(name: str, tensor: Tensor) -> None:
            taps[name] = tensor
            if len(taps) == len(wanted):
                raise _Seen

        def on_input(name: str) -> Any:
            return lambda module, args: keep(name, args[0])

        def on_output(name: str) -> Any:
            return lambda module, args, output: keep(name, output)

        modules = {name: self.model.get_submodule(name) for name in wanted}
        handles = [modules[name].register_forward_pre_hook(on_input(name)) for name in inputs]
        handles += [modules[name].register_forward_hook(on_output(name)) for name in {*outputs, *also}]
        try:
            with self._skipping() as returned:
                for pixels, carried in self._batches():
                    for cut in self.route.cuts[: self.at]:
                        returned[cut.name] = pixels.new_zeros(()).expand(len(pixels), *cut.shape)
                    if self.at:
                        returned[self.route.cuts[self.at - 1].name] = carried
                    taps.clear()
                    with suppress(_Seen):
                        self.model(pixels)
                    kept += [taps[name] for name in also]
                    yield dict(taps)
        finally:
            for handle in handles:
                handle.remove()
        if ahead:
            self._ahead = ahead, kept

    def _next_cut(self, inputs: Sequence[str], outputs: Sequence[str]) -> int | None:
        """The last cut that a pass to the named modules passes on its way, beyond the one reached."""
        route = self.route
        last = max([route.starts[n] for n in inputs] + [route.ends[n] for n in outputs])
        tapped = {*inputs, *outputs}
        passed = [i for i, cut in enumerate(route.cuts) if route.ends[cut.name] < last]
        if not passed or passed[-1] + 1 <= self.at or route.cuts[passed[-1]].name in tapped:
            return None
        return passed[-1] + 1

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self.at:
            for pixels, _ in self.images.batches(self.batch):
                yield pixels.to(self.device), torch.empty(0)
            return
        shape = input_config(self.model)["input_size"]
        for carried in self.carried:
            # The cuts passed already return what was carried: the pixels no longer matter.
            yield torch.zeros(len(carried), *shape, device=self.device), carried

    @contextmanager
    def _skipping(self) -> Iterator[dict[str, Tensor]]:
        """Let the cuts that were passed return what stands in the mapping under their names."""
        returned: dict[str, Tensor] = {}
        passed = [(cut.name, self.model.get_submodule(cut.name)) for cut in self.route.cuts[: self.at]]

        def stand_in(name: str) -> Any:
            return lambda *args, **kwargs: returned[name]

        try:
            for name, module in passed:
                # The module stays: others read its attributes.
                module.forward = stand_in(name)
            yield returned
        finally:
            for _, module in passed:
                del module.forward
