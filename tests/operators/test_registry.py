"""The registry finds every operator of the package, and those of other packages by entry point."""

from __future__ import annotations

import numpy as np
import pytest
from other_package import define_softsign, softsign

from hwnorm import operators
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.targets.target import load_target


def test_an_operator_of_another_package_is_read_printed_and_lowered(outside):
    """With nothing else changed, an expression that uses it becomes a datapath within its bound."""
    outside.Softsign = define_softsign()
    expression = parse("2*softsign(1.5*x) + 0.25")
    assert parse(str(expression)) == expression
    fmt = FixedFormat(10, 6)
    datapath = lower(expression, fmt, fmt, load_target("xcup"), 200.0)
    x = fmt.to_float(fmt.codes())
    assert np.abs(datapath.evaluate(fmt.codes()) - 64 * (2 * softsign(1.5 * x) + 0.25)).max() < 1.0


def test_two_operators_of_one_name_are_refused(outside):
    """A name that is taken is named."""
    outside.Softsign, outside.Other = define_softsign(), define_softsign()
    with pytest.raises(InputError, match="'softsign': registered twice"):
        operators.registry()


def test_an_operator_without_examples_is_refused(outside):
    """The conformance suite would have nothing to run."""
    outside.Softsign = define_softsign(examples=())
    with pytest.raises(InputError, match="'softsign': gives no examples"):
        operators.registry()


def test_every_module_of_the_package_is_found():
    """Sorted by name, and none is missing."""
    arithmetic = ["abs", "add", "max", "min", "mul", "neg", "reciprocal", "select", "shift", "square", "sub"]
    functions = ["clip", "erf", "exp", "exp2", "hardtanh", "log2", "pwl", "relu", "rom"]
    assert list(operators.registry()) == sorted([*arithmetic, *functions, "rsqrt", "sigmoid", "sqrt", "tanh"])


def test_an_unknown_operator_is_named_with_those_there_are():
    """The message helps: it lists the registry."""
    with pytest.raises(InputError, match=r"unknown operator 'tahn'; there are .*tanh"):
        operators.operator("tahn")
