"""A subnet as it is built: re-aligned, and in integers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hwnorm.graph.read import read_graph
from hwnorm.integers.network import Pixels
from hwnorm.integers.quantize import Quantized, Recipe, Source, quantize
from hwnorm.network.output_loss import OutputLoss
from hwnorm.network.sensitivity import WEIGHED, refit_weights
from hwnorm.supernet.extract import Extracted, extract
from hwnorm.supernet.fit import Fitting
from hwnorm.supernet.space import Subnet
from hwnorm.targets.target import Target


@dataclass(frozen=True)
class Build:
    """What a subnet is built for, and from which images.

    Attributes:
        model: the network that the supernet was read from.
        pixels: how its images become codes.
        images: training images (n, C, H, W); all of them are fitted to.
        recipe: of the integers; which rows have 8 bits is the subnet's.
    """

    model: nn.Module
    pixels: Pixels
    images: Tensor
    recipe: Recipe
    target: Target
    clock_mhz: float


def realigned(fitting: Fitting, model: nn.Module, subnet: Subnet) -> Extracted:
    """A subnet, fitted to the original without rounding, as a module."""
    supernet = fitting.supernet
    graph = fitting(subnet).graph
    return extract(model, graph, subnet, supernet.groups.head_dim, supernet.bits(subnet))


def integers(build: Build, extracted: Extracted, loss: OutputLoss) -> Quantized:
    """A subnet's integers, fitted to itself before."""
    module, images = extracted.module, build.images
    graph = read_graph(module)
    source = Source(
        graph,
        graph,
        {},
        refit_weights(module, images[:WEIGHED], {op.layer for op in graph.linears}),
        lambda output: loss.directions(output, 2),
        loss.loss_of,
        extracted.wide,
    )
    return quantize(source, build.pixels, images, build.recipe, build.target, build.clock_mhz)
