"""In which order channels, heads, blocks and wide rows are given up: by what the output loses without them.

Of a linear layer Y = X W that is refitted when an input is missing, the loss grows by w M w^T / [G^-1]_jj: w
is the input's row of W, G the Gram matrix of X, and M what the network's output makes of Y (B. Hassibi and
D. Stork, Optimal Brain Surgeon, NIPS 1992). What is least is given up first; W and G^-1 are those of the rest
then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import Add, Embed, Linear
from hwnorm.integers import rows
from hwnorm.network.output_loss import OutputLoss
from hwnorm.network.sensitivity import LEAST_WEIGHT
from hwnorm.supernet.slices import Groups

#: Pull of a Gram matrix's diagonal, a share of its mean.
DAMPING = 1e-3
#: Of so many parts that are left one goes in a round.
_ROUNDS = 32
#: Random directions of each image's output.
DIRECTIONS = 2
#: Images whose gradients are found together.
_TOGETHER = 32


@dataclass(frozen=True)
class Sensitivity:
    """What the output of a network makes of a small error in its tensors.

    ``tokens``: by the tensor that linear layers read, or where one joins the stream by what it makes of it,
    float32 (tokens,), 1 on average. ``channels``: by what linear layers and sums make, float64
    (channels, channels), the mean of g g^T over tokens. g is the gradient of a random sum of the output.
    """

    tokens: Mapping[str, Tensor]
    channels: Mapping[str, Tensor]


@torch.enable_grad()
def sensitivity(graph: Graph, images: Tensor, loss: OutputLoss) -> Sensitivity:
    """Of the outputs of linear layers, and of the residual stream behind them.

    Args:
        graph: all of whose operations have gradients.
        images: (n, C, H, W).
        loss: of the output.
    """
    names = [op.out for op in graph.operations if isinstance(op, Linear | Add | Embed)]
    reads = {op.out: op.x for op in graph.linears}
    tokens: dict[str, Tensor] = {}
    channels: dict[str, Tensor] = {}
    for some in torch.split(images, _TOGETHER):
        values = graph.trace(some.detach().clone().requires_grad_())
        output = values[graph.output].flatten(1)
        for direction in loss.directions(output.detach(), DIRECTIONS):
            wanted = [values[name] for name in names]
            found = torch.autograd.grad((output * direction).sum(), wanted, retain_graph=True)
            for name, gradient in zip(names, found, strict=True):
                flat = gradient.flatten(0, 1)
                square, at = gradient.square().sum((0, 2)), reads.get(name, name)
                tokens[at] = tokens[at] + square if at in tokens else square
                gram = (flat.T @ flat).double() / (len(images) * gradient.shape[1])
                channels[name] = channels[name] + gram if name in channels else gram
    return Sensitivity(
        {name: (found / found.mean()).clamp(min=LEAST_WEIGHT) for name, found in tokens.items()}, channels
    )


def elimination(layers: Sequence[tuple[Tensor, Tensor, Tensor]], size: int = 1) -> tuple[Tensor, Tensor]:
    """The inputs of layers in the order of their worth, and what giving up each costs.

    Of many parts some go at once: the cheapest of each round, one in :data:`_ROUNDS`.

    Args:
        layers: of each layer that reads the same channels: X^T X (inputs, inputs), W (inputs, outputs),
            M (outputs, outputs); float64.
        size: so many inputs side by side go together (a head).

    Returns:
        Places of inputs, int64 (inputs,), the most worth first; and of parts in that order what each costs
        when it goes, (parts,).
    """
    inverses, weights = [], []
    for gram, weight, _ in layers:
        damping = DAMPING * gram.diagonal().mean().clamp(min=1e-30)
        inverses.append(torch.linalg.inv(gram + damping * torch.eye(len(gram), dtype=gram.dtype)))
        weights.append(weight)
    left = torch.arange(len(weights[0]) // size)
    gone, paid = [], []
    while len(left):
        price = torch.zeros(len(left), dtype=torch.float64)
        for (_, _, metric), inverse, weight in zip(layers, inverses, weights, strict=True):
            price += _prices(inverse, weight, metric, size)
        cheapest = price.argsort(stable=True)[: max(1, len(left) // _ROUNDS)]
        gone.append(left[cheapest].flip(0))
        paid.append(price[cheapest].flip(0))
        stays = torch.ones(len(left), dtype=torch.bool)
        stays[cheapest] = False
        left = left[stays]
        rest = stays.repeat_interleave(size)
        for i, inverse in enumerate(inverses):
            # The rest takes over what it can, and knows nothing of what is gone.
            pivot = torch.linalg.solve(inverse[~rest][:, ~rest], inverse[~rest][:, rest])
            weights[i] = weights[i][rest] - pivot.T @ weights[i][~rest]
            inverses[i] = inverse[rest][:, rest] - inverse[rest][:, ~rest] @ pivot
    order = torch.cat(gone[::-1])
    places = (order[:, None] * size + torch.arange(size)).flatten()
    return places, torch.cat(paid[::-1])


def _prices(inverse: Tensor, weight: Tensor, metric: Tensor, size: int) -> Tensor:
    """What each part costs one layer: (parts,)."""
    if size == 1:
        return ((weight @ metric) * weight).sum(1) / inverse.diagonal()
    found = []
    for start in range(0, len(weight), size):
        at = slice(start, start + size)
        own = weight[at]
        found.append((torch.linalg.solve(inverse[at, at], own) * (own @ metric)).sum())
    return torch.stack(found)


def channel_orders(
    graph: Graph, groups: Groups, grams: Mapping[str, Tensor], found: Sensitivity
) -> dict[str, Tensor]:
    """Of every group, from what its consumers would lose.

    Args:
        grams: X^T X of what each linear layer reads, float64 (inputs, inputs), by its tensor.
    """
    readers: dict[str, list[Linear]] = {}
    for op in graph.linears:
        group = groups.of[op.x]
        if group is not None:
            readers.setdefault(group, []).append(op)
    joins = {op.x: op.out for op in graph.operations if isinstance(op, Add)}
    orders = {}
    for group, ops in readers.items():
        layers = [
            (grams[op.x], op.weight.double().T, found.channels[joins.get(op.out, op.out)]) for op in ops
        ]
        size = groups.head_dim if group.startswith("heads") else 1
        orders[group], _ = elimination(layers, size)
    return orders


def wide_order(op: Linear, gram: Tensor, metric: Tensor) -> Tensor:
    """Rows of a layer, those first whose rounding to 4 bits costs the output most against 8 bits.

    Errors of a row's codes are taken for independent.

    Args:
        gram: of what it reads, float64 (inputs, inputs).
        metric: of what it makes, as :class:`Sensitivity` has it.
    """
    weight, squares = op.weight.double().numpy(), gram.diagonal().numpy()
    narrow, wide = (_rounding(weight, squares, width) for width in (rows.NARROW, rows.WIDE))
    gain = (narrow - wide) * metric.diagonal().numpy()
    return torch.from_numpy(np.argsort(-gain, kind="stable"))


def _rounding(
    weight: npt.NDArray[np.float64], squares: npt.NDArray[np.float64], width: int
) -> npt.NDArray[np.float64]:
    """The least error of each row's nearest codes, over the ends that are tried."""
    most = rows.largest_code(np.full(len(weight), width, dtype=np.uint8))
    widest = np.maximum(np.abs(weight).max(1), 1e-12)
    errors = []
    for clip in rows.CLIPS:
        scale = clip * widest / most
        errors.append((weight - rows.nearest(weight, scale, most) * scale[:, None]) ** 2 @ squares)
    return np.asarray(np.min(errors, axis=0))
