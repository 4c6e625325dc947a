"""An operator of another package under the conformance suite: a good one passes, broken ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from other_package import define_softsign, softsign

from hwnorm.datapath.ir import Cell
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.operators.base import as_signal
from hwnorm.testing import CHECKS, check_operator
from hwnorm.testing import operators as suite
from hwnorm.testing.__main__ import main

GOOD = define_softsign()
GOOD_INTERVAL = vars(GOOD)["interval"]
del GOOD.name


def refuses_small(self, x):
    if x[1] - x[0] < 1:
        raise InputError("softsign wants more")
    return GOOD_INTERVAL(self, x)


def refuses_at_length(self, x):
    if x[1] > 20:
        raise InputError("one line\nand another")
    return GOOD_INTERVAL(self, x)


BROKEN = {
    "no call form": ({"__doc__": "Softsign."}, "documentation", r"does not show the call form, ``softsign\("),
    "an example with a mistake": (
        {"examples": ("softsign(y)",)},
        "text",
        r"examples: 'softsign\(y\)': .*name 'y'",
    ),
    "an example of nothing": ({"examples": ("tanh(x)",)}, "text", "'tanh.x.' .* does not use softsign"),
    "an interval without its end": (
        {"interval": lambda self, x: (softsign(x[0]), softsign(x[1]) - 1e-3)},
        "interval",
        r"softsign\(.*\) is .*, outside .*\.\.",
    ),
    "an interval that is not a number": (
        {"interval": lambda self, x: (softsign(x[0]), np.nan)},
        "interval",
        "examples: .* must be finite",
    ),
    "a domain that is too small": (
        {"interval": refuses_small},
        "interval",
        "is refused: softsign wants more",
    ),
    "a complaint of two lines": (
        {"interval": refuses_at_length},
        "interval",
        "refused in more than one line",
    ),
    "another function in PyTorch": (
        {"torch": lambda self, x: x / (1.001 + x.abs())},
        "pytorch",
        r"softsign\(x\) at -8 is -0\.\d+; NumPy says -0\.\d+",
    ),
    "a precision of its own": (
        {"torch": lambda self, x: x.double() / (1 + x.double().abs())},
        "pytorch",
        "makes torch.float64 of torch.float32",
    ),
    "a gradient that forgets a path": (
        {"torch": lambda self, x: x / (1 + x.abs().detach())},
        "gradient",
        r"softsign\(x\) at .* has gradient .*; its slope is",
    ),
    "no gradient": ({"torch": lambda self, x: (x / (1 + x.abs())).detach()}, "gradient", "has gradient 0;"),
    "a slope that is not finite": (
        {"torch": lambda self, x: x / (1 + x.abs()) + 0 * (x - x.detach()).abs().sqrt()},
        "gradient",
        "has gradient nan;",
    ),
    "a steepness that is too small": (
        {"steepness": lambda self, x: (0.5,)},
        "steepness",
        r"softsign\(.*\) is said to be at most 0.5; it is .* where argument 1 is",
    ),
    "a steepness at the wrong end": (
        {"steepness": lambda self, x: (float((1 + max(-x[0], x[1])) ** -2),)},
        "steepness",
        "is said to be at most",
    ),
    "a steepness too many": (
        {"steepness": lambda self, x: (1.0, 1.0)},
        "steepness",
        "2 given for 1 arguments",
    ),
    "a lowering that is another function": (
        {"lower": lambda self, build, a: build.scale(as_signal(build, a), 0.25)},
        "lowering",
        r"softsign\(x\), s8f4 to 4 fractional bits: .*the largest error is",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_caught_by_the_check_of_its_facet(outside, what):
    """One line that names the operator and the place; the check is the one for that facet."""
    changes, facet, message = BROKEN[what]
    outside.Softsign = define_softsign(**changes)
    with pytest.raises(AssertionError, match=f"^softsign: .*{message}") as caught:
        CHECKS[facet](outside.Softsign.name)
    assert "\n" not in str(caught.value)


def test_a_datapath_is_checked_apart_from_its_certificate(monkeypatch):
    """A datapath of another function, and one with a signal that is a bit too narrow."""

    def other(expression, *rest, **options):
        return lower(parse("2*abs(x) + 0.25"), *rest, **options)

    def narrow(*arguments, **options):
        made = lower(*arguments, **options)
        nodes = list(made.nodes)
        at = next(i for i, node in enumerate(nodes) if node.cell is Cell.ABS)
        nodes[at] = replace(nodes[at], fmt=FixedFormat(nodes[at].fmt.width - 1, nodes[at].fmt.frac))
        return replace(made, nodes=tuple(nodes))

    monkeypatch.setattr(suite, "lower", other)
    with pytest.raises(AssertionError, match=r"^abs: lowering: abs\(x\), s8f4 to s9f4: .* ulp off at code"):
        CHECKS["lowering"]("abs")
    monkeypatch.setattr(suite, "lower", narrow)
    with pytest.raises(AssertionError, match=r"^abs: lowering: .*: signal abs leaves its format s8f4"):
        CHECKS["lowering"]("abs")


def test_a_bound_that_is_not_true_is_caught(outside):
    """A function that says it is flat: what cutting its argument costs is missing from the proof."""
    outside.Softsign = define_softsign(examples=("4*softsign(x)",), steepness=lambda self, x: (0.0,))
    with pytest.raises(AssertionError, match=r"^softsign: bound: .* ulp off at code .*; \d.\d+ was proven"):
        CHECKS["bound"]("softsign")


def test_a_wrong_value_passes_no_other_check_than_it_should(outside):
    """A gradient that is wrong leaves all other facets right: the checks tell what is the matter."""
    outside.Softsign = define_softsign(torch=lambda self, x: x / (1 + x.abs().detach()))
    for facet, check in CHECKS.items():
        if facet != "gradient":
            check("softsign")


def test_a_good_operator_of_another_package_passes(outside):
    """Registered by its entry point alone, down to Verilog and HLS."""
    outside.Softsign = define_softsign()
    check_operator("softsign")


def test_the_command_tells_every_check(outside, capsys):
    """python -m hwnorm.testing: a line a check; what PyTorch does is compared with the hardware too."""
    outside.Softsign = define_softsign(torch=lambda self, x: torch.tanh(x))
    assert main(["softsign"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert "softsign: lowering: ok" in printed
    assert any(line.startswith("softsign: pytorch: softsign(x) at") for line in printed)
    assert any(line.startswith("softsign: renderings: softsign(x): PyTorch:") for line in printed)


def test_the_command_names_an_operator_that_is_not_there(capsys):
    """Status 2 and one line."""
    assert main(["tahn"]) == 2
    assert capsys.readouterr().err.startswith("hwnorm.testing: unknown operator 'tahn'; there are abs, ")
