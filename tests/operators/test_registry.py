"""The registry finds every operator of the package, and those of other packages by entry point."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hwnorm import operators
from hwnorm.datapath.lower import lower
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.operators.base import Interval, Lowering, Operand, Operator, Signal, as_signal
from hwnorm.targets.target import load_target


def softsign(x: Any) -> Any:
    return x / (1 + np.abs(x))


def define_softsign() -> type[Operator]:
    class Softsign(Operator):
        name = "softsign"
        arity = (1, 1)
        examples = ("softsign(x)",)

        def torch(self, *args: Any) -> Any:
            return args[0] / (1 + args[0].abs())

        def numpy(self, *args: Any) -> Any:
            return softsign(args[0])

        def interval(self, *args: Interval) -> Interval:
            return softsign(args[0][0]), softsign(args[0][1])

        def steepness(self, *args: Interval) -> tuple[float, ...]:
            return (1.0,)

        def lower(self, build: Lowering, *args: Operand) -> Signal:
            return build.function(as_signal(build, args[0]), self)

    return Softsign


@pytest.fixture
def outside(monkeypatch) -> Iterator[ModuleType]:
    """A module of another package that an entry point names; what it defines is gone afterwards."""
    module = ModuleType("outside")
    monkeypatch.setitem(sys.modules, "outside", module)
    entry = EntryPoint("any", "outside", "hwnorm.operators")
    monkeypatch.setattr(operators, "entry_points", lambda group: [entry] if group == entry.group else [])
    operators.registry.cache_clear()
    yield module
    operators.registry.cache_clear()
    vars(module).clear()
    gc.collect()
    assert "softsign" not in operators.registry()


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


def test_every_module_of_the_package_is_found():
    """The operators that the search is built on are there, sorted by name."""
    names = list(operators.registry())
    assert names == sorted(names)
    assert {"add", "sub", "mul", "neg", "abs", "min", "max", "clip", "square", "tanh", "sigmoid"} <= {*names}


def test_an_unknown_operator_is_named_with_those_there_are():
    """The message helps: it lists the registry."""
    with pytest.raises(InputError, match=r"unknown operator 'tahn'; there are .*tanh"):
        operators.operator("tahn")
