"""The design space: no engine that may be the fastest is left out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from engine.deep_networks import Deep, engines
from engine.small_engines import CHANNELS, IMAGE, network
from engine.small_integer_networks import random_engine, random_hardware, random_network
from hypothesis import assume, given, settings, target
from hypothesis import strategies as st

from hwnorm.engine import space
from hwnorm.engine.cycles import predict
from hwnorm.engine.devices import budget_of
from hwnorm.engine.program import compile_program
from hwnorm.engine.resources import Resources, engine_resources, least_blocks
from hwnorm.engine.space import _engines, front, least_cycles
from hwnorm.engine.work import products_of, workload_of
from hwnorm.errors import InputError


def test_no_engine_is_faster_than_its_bound():
    """What the search leaves out for its bound could not have been picked."""
    near = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        engine = random_engine(rng)
        hardware = random_hardware(engine, rng)
        network = random_network(hardware, rng)
        bound = least_cycles(products_of(network, hardware.image), engine)
        cycles = predict(compile_program(network, engine, hardware.image), images=2)[1].cycles
        assert 0 < bound <= cycles, seed
        near += 2 * bound > cycles
    assert near, "a bound that is far from all engines leaves none out"


@settings(max_examples=60)
@given(st.data())
def test_no_engine_takes_fewer_blocks_than_its_bound(data):
    """What the search leaves out for its memories could not have been within the budget."""
    engine = data.draw(engines())
    found, image = Deep(data.draw, engine.activation_bits, normed=False).network()
    takes = None
    with suppress(InputError):
        takes = engine_resources(compile_program(found, engine, image), engine.device)
    assume(takes is not None)
    bound = least_blocks(engine, workload_of(found, image))
    target(float(takes.bram))
    assert bound <= takes.bram


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ("dsp=0.0001", "engine: 0 multipliers; the smallest engine has more"),
        (
            "lut=100",
            "engine: at most 100 LUT, 548160 FF, 2520 DSP, 1824 BRAM; the array of each engine alone",
        ),
        ("lut=900", "engine: at most 900 LUT, 548160 FF, 2520 DSP, 1824 BRAM; the nearest engine, 1 tokens"),
    ],
)
def test_what_there_is_too_little_of_is_named(budget, reason):
    with pytest.raises(InputError, match=reason):
        front(network(8), IMAGE, budget_of(budget, "xcup"), "xcup", 8)


@pytest.mark.parametrize("blocks", [0, 2])
def test_the_engine_nearest_to_too_few_blocks_is_named(blocks, monkeypatch):
    """Whatever the bound says of the others; memories of this network are LUTs."""
    monkeypatch.setattr(space, "least_blocks", lambda engine, work: 3 + engine.tokens)
    taken = Resources(1000, 1000, 10, 5)
    monkeypatch.setattr(space, "engine_resources", lambda program, device: taken)
    most = replace(budget_of("dsp=40", "xcup"), bram=blocks)
    with pytest.raises(InputError, match=r"the nearest engine, 1 tokens x \d+ columns.*, 5 BRAM"):
        front(network(8), IMAGE, most, "xcup", 8)


@pytest.mark.parametrize(("bits", "pair"), [(8, 1), (6, 2)])
def test_tiles_hold_all_tokens_in_any_number_of_tiles(bits, pair):
    """Whole multipliers where two tokens share one: of 50 tokens two tiles have 25 each, or 26."""
    sizes = {engine.tokens for engine in _engines(50, "xcup", bits)}
    fewest = {-(-50 // tiles) for tiles in range(1, 51)}
    assert sizes == {size + size % pair for size in fewest}
    assert 25 + 25 % pair in sizes


def test_layers_that_read_the_same_are_one_product():
    """They share their tiles: bounds of each alone would be together more than what is read."""
    names = {product.name: product.rows8 + product.rows4 for product in products_of(network(8), IMAGE)}
    assert names["q"] == 3 * CHANNELS
    assert not {"k", "v"} & set(names)
    assert {name: names[name] for name in ("proj", "fc2")} == {"proj": CHANNELS, "fc2": CHANNELS}
