"""Run a network again from one of its layers on, without what comes before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.network.norms import observe


class _Reached(Exception):
    """The layer has been reached; the rest of the forward pass is not needed."""


class Replay:
    """One batch through a network, carried forward from layer to layer.

    What modules have returned on the way to a layer is kept, and returned again instead of computed.
    Memory: the outputs of the modules of the block that the layer is in, and of the blocks before.

    Args:
        layers: names of modules that are called once, in the order of execution.
    """

    def __init__(self, model: nn.Module, pixels: Tensor, layers: Sequence[str]) -> None:
        self.model, self.pixels = model, pixels
        self._finished = _finished_before(model, layers)
        self._kept: dict[str, Any] = {}

    def advance(self, layer: str) -> None:
        """Carry on to the input of ``layer``, by the network as it is now."""
        new = [name for name in self._finished[layer] if name not in self._kept]
        found: dict[str, Any] = {}
        handles = []
        for name in new:

            def keep(module: nn.Module, args: Any, output: Any, name: str = name) -> None:
                found[name] = output

            handles.append(self.model.get_submodule(name).register_forward_hook(keep))

        def reached(module: nn.Module, args: Any) -> None:
            raise _Reached

        handles.append(self.model.get_submodule(layer).register_forward_pre_hook(reached))
        try:
            self.run()
        except _Reached:
            pass
        finally:
            for handle in handles:
                handle.remove()
        self._kept |= found
        self._kept = {name: self._kept[name] for name in self._finished[layer]}

    @torch.no_grad()
    def run(self) -> Any:
        """The network's output, computed from the layer that was reached on."""
        with self._standing_in():
            return self.model(self.pixels)

    @contextmanager
    def _standing_in(self) -> Iterator[None]:
        modules = {name: self.model.get_submodule(name) for name in self._kept}
        try:
            for name, module in modules.items():
                # On the instance: what else others read of the module stays as it is.
                module.forward = _returning(self._kept[name])
            yield
        finally:
            for module in modules.values():
                del module.forward


def _returning(output: Any) -> Any:
    return lambda *args, **kwargs: output


def _finished_before(model: nn.Module, layers: Sequence[str]) -> dict[str, list[str]]:
    """For each layer the outermost modules that are done, each called once, when it begins."""
    done: dict[str, int] = {}
    before: dict[str, dict[str, int]] = {}

    def on_start(layer: str) -> Any:
        return lambda module, args: before.__setitem__(layer, dict(done))

    def on_end(name: str) -> Any:
        return lambda module, args, output: done.__setitem__(name, done.get(name, 0) + 1)

    handles = [model.get_submodule(layer).register_forward_pre_hook(on_start(layer)) for layer in layers]
    handles += [m.register_forward_hook(on_end(name)) for name, m in model.named_modules() if name]
    observe(model, handles)
    finished = {}
    for layer, ended in before.items():
        once = {name for name, count in ended.items() if count == 1 == done[name]}
        finished[layer] = [name for name in once if not any(name.startswith(f"{outer}.") for outer in once)]
    return finished
