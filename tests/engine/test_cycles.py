"""Cycles of workloads, of which no program is made, beside those of programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine.deep_networks import Deep, engines
from engine.small_engines import ENGINES, IMAGE, NORMED, network, program
from engine.small_integer_networks import random_engine, random_hardware, random_network
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwnorm.engine.cycles import counters, predict
from hwnorm.engine.phase import Kind
from hwnorm.engine.program import compile_program
from hwnorm.engine.work import products_of, workload_of
from hwnorm.errors import InputError


@settings(max_examples=150)
@given(st.data())
def test_deep_networks(data):
    """Blocks alike, whose cycles are those of the block before, and blocks that are not."""
    engine = data.draw(engines())
    found, image = Deep(data.draw, engine.activation_bits).network()
    try:
        made = compile_program(found, engine, image)
    except InputError:
        assume(False)  # it has no room in the memories
    assert counters(workload_of(found, image), engine) == predict(made, 2)[1].counters


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_random_networks(share):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        engine = random_engine(rng)
        hardware = random_hardware(engine, rng, share)
        found = random_network(hardware, rng)
        made = compile_program(found, engine, hardware.image)
        assert counters(workload_of(found, hardware.image), engine) == predict(made, 2)[1].counters, seed


@pytest.mark.parametrize("name", ENGINES)
def test_everything_an_engine_does(name):
    made = program(name)
    assert counters(workload_of(made.network, IMAGE), made.engine) == predict(made, 2)[1].counters


def test_a_workload_needs_no_network():
    """Its products say all, whatever they are called."""
    engine = ENGINES["a8"]
    work = workload_of(network(8), IMAGE)
    plain = replace(work, products=tuple(replace(product, name="") for product in work.products))
    assert counters(plain, engine) == counters(work, engine)
    steps, order = plain.steps
    assert len(steps) <= len(order) < len(plain.products), "scores and their context are one step"
    slower = replace(work, functions=work.functions + 7)
    assert counters(slower, engine)[0] > counters(work, engine)[0]


def test_products_name_what_is_computed_together():
    kinds = [product.kind for product in products_of(network(8), IMAGE)]
    assert kinds == [
        *(Kind.LINEAR, Kind.LINEAR, Kind.SCORES, Kind.CONTEXT, Kind.LINEAR, Kind.LINEAR, Kind.LINEAR),
        *(Kind.POOL, Kind.LINEAR),
    ]
    normed = products_of(network(8, norms=True), IMAGE)
    assert sum(product.kind == Kind.NORM for product in normed) == 2
    assert all(product.products == (0, 0) for product in normed if product.kind == Kind.NORM)
    assert {name for name in ENGINES if name not in NORMED} >= {"a8", "a6"}
