"""Unsigned ports: the same function of the same numbers, clamped at zero, of signed signals inside."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnorm.datapath.ir import Cell
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.datapath.serial import from_json, to_json
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.share.functions import Functions
from hwnorm.targets.target import load_target

XCUP = load_target("xcup")
EXPRESSIONS = (
    "0.7*x + 0.1",
    "x*x - 0.3*x",
    "tanh(3*x) - 0.5",
    "abs(x - 0.4)",
    "sqrt(abs(x))",
    "-x",
    "2.5*x - 1",
)
PORTS = st.builds(FixedFormat, st.integers(4, 9), st.integers(0, 9), st.booleans())


def lowered(expression, source, to, **options):
    return lower(parse(expression), source, to, XCUP, 250.0, **options)


@settings(max_examples=40)
@given(expression=st.sampled_from(EXPRESSIONS), source=PORTS, to=PORTS, fuse=st.booleans())
def test_every_code_is_within_one_step_of_the_clamped_expression(expression, source, to, fuse):
    """By the definition, in float64, whatever the ports: the certificate is what is measured here."""
    try:
        datapath = lowered(expression, source, to, fuse=fuse)
    except InputError as error:  # such as -x, of which an unsigned output holds zero alone
        if "one value over all" not in str(error):
            raise
        return
    x = source.codes()
    exact = np.clip(parse(expression).numpy(x * 2.0**-source.frac), to.low, to.high) * 2.0**to.frac
    y = datapath.evaluate(x)
    assert to.min_code <= y.min()
    assert y.max() <= to.max_code
    error = np.abs(y - exact)
    assert error.max() < 1
    assert datapath.certificate.max_error_ulp == pytest.approx(error.max(), abs=1e-8)
    assert error[datapath.certificate.worst_code - source.min_code] == pytest.approx(error.max(), abs=1e-8)
    assert all(node.fmt.signed for node in datapath.nodes)
    assert from_json(json.loads(json.dumps(to_json(datapath)))) == datapath


def test_a_wide_input_has_a_proven_bound():
    """Of 20 bits, tried at many codes and both ends."""
    source, to = FixedFormat(20, 10, signed=False), FixedFormat(8, 0, signed=False)
    datapath = lowered("0.25*x - 3", source, to)
    x = np.unique(np.concatenate([np.arange(0, 1 << 20, 37), [(1 << 20) - 1]]))
    exact = np.clip(0.25 * x * 2.0**-10 - 3, 0, 255)
    assert not datapath.certificate.exhaustive
    assert np.abs(datapath.evaluate(x) - exact).max() <= datapath.certificate.max_error_ulp < 1


def test_torch_computes_the_same():
    """What lies below zero or above the last code saturates."""
    source, to = FixedFormat(8, 8, signed=False), FixedFormat(8, 7, signed=False)
    datapath = lowered("1.7*x - 0.2", source, to)
    x = torch.linspace(-0.5, 1.5, 4001)
    expected = to.to_float(datapath.evaluate(source.quantize(x.numpy())))
    assert FixedPointFunction(datapath)(x).numpy().tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda told: told["input"].pop("signed"), "fmt: s9f8; the input has s8f8"),
        (lambda told: told["nodes"][0].update(parameter=0), "parameter: 0; of an input u8f8 it is 1"),
        (lambda told: told["nodes"][-1]["fmt"].update(signed=False), "output: s8f7; the last node has u8f7"),
        (lambda told: told["input"].update(signed="no"), "input: signed is true or false"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(change, what):
    datapath = lowered("x - 0.5", FixedFormat(8, 8, signed=False), FixedFormat(8, 7))
    told = to_json(datapath)
    assert told["nodes"][0]["cell"] is Cell.INPUT
    change(told)
    with pytest.raises(ValueError, match=what):
        from_json(told)


def test_one_unit_for_many_functions_is_of_signed_ones():
    signed, unsigned = FixedFormat(8, 4), FixedFormat(8, 4, signed=False)
    with pytest.raises(InputError, match="share: u8f4 is unsigned"):
        Functions.of([("a", lowered("2*x", signed, signed)), ("b", lowered("2*x", unsigned, signed))])
