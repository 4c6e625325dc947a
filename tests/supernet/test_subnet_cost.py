"""What a subnet costs is what its own integers cost, whatever blocks are left out."""

from __future__ import annotations

import pytest
from integer.small_networks import images_for, source_of
from supernet.small_supernets import drawn, network, supernet_of, with_functions

from hwnorm.data.config import input_config
from hwnorm.engine.devices import budget_of
from hwnorm.engine.space import Fastest, NoEngine, front
from hwnorm.integers.network import Pixels
from hwnorm.integers.quantize import Recipe, quantize
from hwnorm.supernet.cost import Costs
from hwnorm.supernet.extract import extract
from hwnorm.supernet.space import Block, Subnet
from hwnorm.targets.target import load_target

IMAGE = (3, 16, 16)


@pytest.fixture(scope="module")
def made():
    """A supernet, its base, and a function that makes integers of a module."""
    model = network().float()
    student = with_functions(model).float()
    images = images_for(model, 20)
    config = input_config(model)
    pixels = Pixels(tuple(config["mean"]), tuple(config["std"]))

    def integers(module, wide=None):
        source = source_of(module)
        source = type(source)(**vars(source) | {"wide": wide})
        return quantize(source, pixels, images, Recipe(), load_target("xcup", ""), 250.0).network

    return supernet_of(model, student, images), student, integers


def test_cycles_are_those_of_its_own_integers(made):
    supernet, student, integers = made
    most = budget_of("dsp=60", "xcup")
    costs = Costs(integers(student), supernet.groups, IMAGE, Fastest(IMAGE, most, "xcup", 8))
    middle = Subnet(16, (Block(1, 32, 0.5), None, Block(2, 64, 0.0)))
    first = Subnet(24, (None, Block(2, 24, 1.0), Block(1, 24, 0.0)))
    last = Subnet(12, (Block(2, 12, 0.5), None, None))
    for subnet in (middle, first, last, drawn(4)):
        bits = supernet.bits(subnet)
        found = extract(student, supernet.view(subnet), subnet, supernet.groups.head_dim, bits)
        own = integers(found.module, found.wide)
        cost = costs(subnet, bits)
        fastest = front(own, IMAGE, most, "xcup", 8)[-1]
        assert cost.cycles == fastest.cycles
        assert cost.candidate.engine.dsps(0) <= 60
        assert cost.weight_bits == sum(int(op.bits.sum()) * op.weight.shape[1] for op in own.linears)


def test_a_budget_that_nothing_meets(made):
    supernet, student, integers = made
    most = budget_of("lut=100", "xcup")
    costs = Costs(integers(student), supernet.groups, IMAGE, Fastest(IMAGE, most, "xcup", 8))
    subnet = drawn(0)
    with pytest.raises(NoEngine):
        costs(subnet, supernet.bits(subnet))
