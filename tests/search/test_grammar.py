"""The grammar: trees and expressions stand for each other, and random trees are sound."""

from __future__ import annotations

import pytest
from deap import gp
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.csd import signed_digits
from hwnorm.lowering.lower import lower
from hwnorm.operators import registry
from hwnorm.search.evolve import SEEDS
from hwnorm.search.grammar import (
    RNG,
    SIGNATURES,
    Factor,
    Limit,
    Signal,
    grow,
    operators_of,
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
    "most": "min(x, 0.5)",
    "least": "max(x, -0.5)",
    "clip": "clip(x, 1.5)",
    "square": "square(x)",
    "tanh": "tanh(x)",
    "sigmoid": "sigmoid(x)",
    "rsqrt": "rsqrt(square(x) + 1)",
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
    RNG.seed(seed)
    expression = to_expression(gp.PrimitiveTree(grow(PSET, 1, 4)))
    if not expression.is_constant:
        tree = to_tree(expression, PSET)
        assert types_fit(list(tree), Signal)
        assert to_expression(tree) == expression


@given(seeds, st.integers(0, 3), st.integers(0, 3), st.sampled_from([Signal, Factor, Limit]))
def test_random_trees_are_well_typed(seed, low, extra, kind):
    """Of every type, those with terminals only among them, and no deeper than asked for."""
    RNG.seed(seed)
    nodes = grow(PSET, low, low + extra, kind)
    assert types_fit(nodes, kind)
    assert gp.PrimitiveTree(nodes).height <= low + extra + 1
    if kind is not Signal:
        assert len(nodes) == 1
        assert isinstance(nodes[0].value, float)


@given(seeds)
def test_random_constants_are_cheap(seed):
    """At most two signed digits; limits are positive, factors have both signs."""
    RNG.seed(seed)
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


def test_operators_are_read_and_bring_what_canonical_forms_need():
    """None is all; sigmoid may become tanh, a product of equals a square."""
    assert operators_of(None) is None
    assert operators_of("clip") == {"clip"}
    assert operators_of("sigmoid, mul") == {"sigmoid", "tanh", "mul", "square"}


@pytest.mark.parametrize(("text", "found"), [("tahn", "'tahn' is no operator"), (" , ", "none named")])
def test_unknown_operators_are_refused(text, found):
    with pytest.raises(InputError, match=rf"option --operators: {found}; there are .*tanh"):
        operators_of(text)


def test_other_operators_of_one_signal_join():
    """erf is not of the usual grammar, and is if asked for; what is left out is not there."""
    pset = primitive_set(operators_of("erf,clip"))
    assert {p.name for p in pset.primitives[Signal]} == {"scale", "offset", "clip", "erf"}
    tree = to_tree(parse("0.5*erf(clip(x, 2))"), pset)
    assert to_expression(tree) == parse("0.5*erf(clip(x, 2))")
    with pytest.raises(ValueError, match="not of the grammar"):
        to_tree(parse("tanh(x)"), pset)
