"""The grammar: trees and expressions stand for each other, and random trees are sound."""

from __future__ import annotations

import random

import pytest
from deap import gp
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.datapath.csd import signed_digits
from hwnorm.datapath.lower import lower
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.operators import registry
from hwnorm.search.evolve import SEEDS
from hwnorm.search.grammar import (
    SIGNATURES,
    Factor,
    Limit,
    Signal,
    grow,
    primitive_set,
    random_factor,
    random_limit,
    to_expression,
    to_tree,
)
from hwnorm.targets.target import load_target

PSET = primitive_set()
seeds = st.integers(0, 2**32)

#: One expression of each primitive.
OF_EACH = {
    "add": "x + tanh(x)",
    "sub": "x - tanh(x)",
    "mul": "x*tanh(x)",
    "scale": "-0.75*x",
    "offset": "x - 0.5",
    "neg": "-x",
    "abs": "abs(x)",
    "min": "min(x, tanh(x))",
    "max": "max(x, tanh(x))",
    "clip": "clip(x, 1.5)",
    "square": "square(x)",
    "tanh": "tanh(x)",
    "sigmoid": "sigmoid(x)",
}


def types_fit(nodes: list, wanted: type) -> bool:
    """Whether nodes in prefix order are one whole tree of a type, by its own check of each argument."""
    pending = [wanted]
    for node in nodes:
        if not pending or node.ret is not pending.pop():
            return False
        pending.extend(reversed(node.args if isinstance(node, gp.Primitive) else []))
    return not pending


@given(seeds)
def test_expressions_survive_the_way_through_a_tree(seed):
    """to_expression(to_tree(e)) == e for whatever the grammar can say that depends on x."""
    random.seed(seed)
    expression = to_expression(gp.PrimitiveTree(grow(PSET, 1, 4)))
    if not expression.is_constant:
        tree = to_tree(expression, PSET)
        assert types_fit(list(tree), Signal)
        assert to_expression(tree) == expression


@given(seeds, st.integers(0, 3), st.integers(0, 3), st.sampled_from([Signal, Factor, Limit]))
def test_random_trees_are_well_typed(seed, low, extra, kind):
    """Of every type, those with terminals only among them, and no deeper than asked for."""
    random.seed(seed)
    nodes = grow(PSET, low, low + extra, kind)
    assert types_fit(nodes, kind)
    assert gp.PrimitiveTree(nodes).height <= low + extra + 1
    if kind is not Signal:
        assert len(nodes) == 1
        assert isinstance(nodes[0].value, float)


@given(seeds)
def test_random_constants_are_cheap(seed):
    """At most two signed digits; limits are positive, factors have both signs."""
    random.seed(seed)
    limits = [random_limit() for _ in range(8)]
    factors = [random_factor() for _ in range(40)]
    assert all(1 / 16 <= value <= 8 for value in limits)
    assert min(factors) < 0 < max(factors)
    assert all(len(signed_digits(int(value * 2**30))) <= 2 for value in limits + factors)


def test_the_grammar_is_of_registered_operators():
    """What is searched is in the registry, and each primitive is tried below."""
    assert {operator for operator, _ in SIGNATURES.values()} <= set(registry())
    assert set(OF_EACH) == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_primitive_lowers(name):
    """Each has a tree of itself, and hardware."""
    expression = parse(OF_EACH[name])
    assert name in [node.name for node in to_tree(expression, PSET)]
    datapath = lower(expression, FixedFormat(8, 5), FixedFormat(8, 4), load_target("xcup"), 250.0)
    assert datapath.certificate.max_error_ulp < 1


@pytest.mark.parametrize("text", SEEDS)
def test_seeds_are_of_the_grammar(text):
    """What every population starts with can be turned into trees and back."""
    assert to_expression(to_tree(parse(text), PSET)) == parse(text)
