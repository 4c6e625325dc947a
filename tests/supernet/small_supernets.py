"""A small supernet of random weights, its images, and random subnets of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from random import Random
from typing import Any

import torch
from integer.small_networks import images_for, small
from torch import Tensor, nn

from hwnorm.expression import parse
from hwnorm.graph.graph import Graph
from hwnorm.graph.read import read_graph
from hwnorm.network.norms import find_norms
from hwnorm.network.output_loss import OutputLoss
from hwnorm.network.replacement import replace_norms
from hwnorm.supernet.slices import block_of
from hwnorm.supernet.space import Space, Subnet
from hwnorm.supernet.supernet import Ordering, Supernet

SPACE = Space((12, 16, 24), (2, 3), (1, 2), (0.5, 1.0, 2.0, 4.0), (0.0, 0.5, 1.0), (2, 0, 1))


def network(**changes: Any) -> nn.Module:
    """Three blocks, 24 channels, two heads."""
    return small(**({"depth": 3} | changes)).double()


def with_functions(model: nn.Module) -> nn.Module:
    """The same with a smooth function for every norm but the first, which is a line and folds."""
    model = copy.deepcopy(model).float()
    names = [site.name for site in find_norms(model)]
    functions = {name: parse("1.5*tanh(0.5*x)").to_module() for name in names}
    functions[names[0]] = parse("0.7*x").to_module()
    return replace_norms(model, functions).double()


def supernet_of(model: nn.Module, student: nn.Module, images: Tensor) -> Supernet:
    graph, teacher = read_graph(student), read_graph(model)
    loss = OutputLoss(has_head=True)
    return Supernet.of(graph, teacher, Ordering.of(graph, teacher, images, loss))


def images_of(model: nn.Module, count: int, seed: int = 0) -> Tensor:
    return images_for(model, count, seed).to(torch.float64)


def drawn(seed: int, space: Space = SPACE) -> Subnet:
    """A random subnet."""
    return space.random(Random(seed))


def count_of(space: Space) -> int:
    """So many subnets there are."""
    return len(space.width) * sum(int(len(space.genes) ** depth) for depth in space.depth)


def renumbered(graph: Graph, subnet: Subnet) -> Graph:
    """The operations with the names that the module's own graph has."""
    places = {old: new for new, old in enumerate(subnet.kept)}

    def name(text: str) -> str:
        number = block_of(text)
        return text if number is None else f"blocks.{places[number]}.{text.split('.', 2)[2]}"

    found = []
    for op in graph.operations:
        changed: dict[str, Any] = {"out": name(op.out)}
        changed |= {
            field: name(getattr(op, field))
            for field in ("x", "q", "k", "v", "p", "stream", "layer")
            if isinstance(getattr(op, field, None), str)
        }
        found.append(replace(op, **changed))
    return Graph(tuple(found))
