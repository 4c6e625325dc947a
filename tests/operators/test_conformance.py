"""What every registered operator must do; a new one is tested here without a change."""

from __future__ import annotations

import pytest

from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.fuzz.oracle import run
from hwnorm.lowering.lower import lower
from hwnorm.operators import registry
from hwnorm.operators.rom import Rom
from hwnorm.targets.target import load_target
from hwnorm.testing import CHECKS, check_renderings

every_operator = pytest.mark.parametrize("name", sorted(registry()))


@every_operator
@pytest.mark.parametrize("facet", CHECKS)
def test_the_conformance_suite_passes(name, facet):
    """Each check that ships with the package, on each operator that does."""
    CHECKS[facet](name)


def test_steps_without_a_gradient_are_caught(monkeypatch):
    """A staircase whose gradient is zero, as it is but at the steps, would stop the training before it."""
    right = Rom.torch
    monkeypatch.setattr(Rom, "torch", lambda self, x, *table: right(self, x.detach(), *table))
    with pytest.raises(AssertionError, match="the gradient's sum to"):
        CHECKS["gradient"]("rom")


@pytest.mark.slow
def test_every_rendering_is_bit_exact():
    """Verilog and HLS of all operators, in one simulation."""
    check_renderings(sorted(registry()))


@every_operator
def test_the_lowering_is_exact_arithmetic(name):
    """The oracle's fractions: each signal at every code is in its format, and the last is the result."""
    fmt = FixedFormat(6, 2)
    for text in registry()[name].examples:
        datapath = lower(parse(text), fmt, FixedFormat(20, 4), load_target("xcup"), 100.0, fuse=False)
        for code in fmt.codes():
            signals = run(datapath.nodes, int(code))
            for node, signal in zip(datapath.nodes, signals, strict=True):
                assert node.fmt.min_code <= signal <= node.fmt.max_code
            assert signals[-1] == datapath.evaluate(code)
