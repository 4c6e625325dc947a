"""Find the linear layers that write into the residual stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hwnorm.network.norms import ExampleInputs, NormSite, observe


@dataclass(frozen=True)
class Projection:
    """A linear layer whose output, times ``scale``, is what the stream gains between two norms.

    ``before`` and ``after`` name the norms that read the stream before and after it. ``scale`` is a
    LayerScale, or ones: float32 (channels,).
    """

    name: str
    before: str
    after: str
    scale: Tensor


def find_projections(
    model: nn.Module, sites: Sequence[NormSite], *, example_inputs: ExampleInputs | None = None
) -> dict[str, Projection]:
    """Return the output projections by the name of the last norm before each, by tracing one forward pass.

    Between two successive norms of the stream it gains x_after - x_before; the projection is the layer
    whose output equals that, up to one factor a channel. Where there is none (parallel branches,
    norms that are not on the stream, windows) there is no entry.

    Args:
        sites: the norms that :func:`~hwnorm.network.norms.find_norms` has found.
        example_inputs: as for it.

    Raises:
        InputError: nothing tells what the model takes.
    """
    streams: dict[str, Tensor] = {}
    outputs: dict[str, list[tuple[str, Tensor]]] = {}
    # Norms of queries and keys stand inside a branch. A norm that is called twice has no one input.
    names = [site.name for site in sites if site.role != "query-key" and site.axis == -1]
    calls = dict.fromkeys(names, 0)

    def on_norm(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] += 1
            streams[name] = inputs[0]
            outputs[name] = []

        return hook

    def on_linear(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if streams:
                outputs[next(reversed(streams))].append((name, output))

        return hook

    handles = [model.get_submodule(name).register_forward_pre_hook(on_norm(name)) for name in names]
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            handles.append(module.register_forward_hook(on_linear(name)))
    observe(model, handles, example_inputs=example_inputs)

    found = {}
    for before, after in pairwise(name for name in names if calls[name] == 1):
        stream, later = streams[before], streams[after]
        # Some models turn tokens into a map and back between the two.
        if stream.numel() != later.numel() or stream.shape[-1] != later.shape[-1]:
            continue
        gain = later.reshape(stream.shape) - stream
        for name, output in outputs[before]:
            if output.shape == gain.shape and (scale := _channel_scale(output, gain)) is not None:
                found[_last_before(sites, before, after)] = Projection(name, before, after, scale)
    return found


def _last_before(sites: Sequence[NormSite], before: str, after: str) -> str:
    """The last norm from ``before`` on, ahead of ``after``: that of the keys, where keys are normed."""
    names = [site.name for site in sites]
    return names[names.index(after) - 1] if names.index(after) > names.index(before) else before


def _channel_scale(output: Tensor, gain: Tensor) -> Tensor | None:
    """The factor a channel with ``gain = output * scale``, or None where there is no such one."""
    channels = output.shape[-1]
    rows, wanted = output.reshape(-1, channels), gain.reshape(-1, channels)
    scale = (rows * wanted).sum(0) / rows.square().sum(0)
    if not bool(torch.isfinite(scale).all()) or bool((scale.abs() < 1e-12).any()):
        return None
    error = (wanted - rows * scale).norm() / wanted.norm()
    return scale if float(error) < 1e-2 else None
