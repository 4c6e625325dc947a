"""Find the places of a network that everything passes: blocks, stages, downsampling layers, ..."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.network.norms import ExampleInputs, example_arguments, first_tensor, traced


def find_cuts(model: nn.Module, *, example_inputs: ExampleInputs | None = None) -> list[str]:
    """Trace one forward pass of the model; the names of its cuts in the order of execution.

    A module is a cut if every path of autograd's graph from the network's output back to the image
    passes its output: paths are counted, exactly, before and behind each step. Numbers of tokens are no
    part of the graph: there what embeds them is its end.

    Args:
        example_inputs: as for :func:`hwnorm.network.norms.find_norms`.

    Raises:
        InputError: nothing tells what the model takes.
    """
    arguments = example_arguments(model, example_inputs)
    numbers = not any(argument.is_floating_point() for argument in arguments)
    embedded: set[Any] = set()
    outputs: list[tuple[str, Tensor]] = []
    calls: Counter[str] = Counter()

    def on_end(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            calls[name] += 1
            if numbers and isinstance(module, nn.Embedding):
                embedded.add(output.grad_fn)
            if isinstance(output, Tensor) and not (inputs and output is inputs[0]):
                outputs.append((name, output))

        return hook

    handles = [m.register_forward_hook(on_end(name)) for name, m in model.named_modules() if name]
    try:
        with torch.enable_grad(), traced(model, arguments) as leaves:
            result = first_tensor(model(*leaves))
    finally:
        for handle in handles:
            handle.remove()
    dominators = _dominators(result.grad_fn, embedded)
    return [
        name
        for name, output in outputs
        if output.grad_fn in dominators and calls[name] == 1 and output.shape[:1] == arguments[0].shape[:1]
    ]


def _dominators(root: Any, ends: set[Any]) -> set[Any]:
    """The steps that every path from ``root`` to an end, or to a leaf that is no parameter, passes."""
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
        return node in ends or (variable is not None and not isinstance(variable, nn.Parameter))

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
