"""A small supernet of random weights, its images, and random subnets of it."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import torch
from integer.small_networks import images_for, small
from torch import Tensor, nn

from hwnorm.expression import parse
from hwnorm.graph.read import read_graph
from hwnorm.network.norms import find_norms
from hwnorm.network.output_loss import OutputLoss
from hwnorm.network.replacement import replace_norms
from hwnorm.supernet.space import Space
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


def drawn(seed: int, space: Space = SPACE) -> Any:
    """A random subnet."""
    random = Random(seed)
    genes = [space.random_gene(random) for _ in space.order]
    return space.subnet(random.choice(space.width), random.choice(space.depth), genes)
