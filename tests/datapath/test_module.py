"""The PyTorch rendering of a datapath gives the value of every code that the datapath gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.fixed import FixedFormat


def square(input_format: FixedFormat, output_format: FixedFormat) -> Datapath:
    exact = FixedFormat(2 * input_format.width, 2 * input_format.frac)
    nodes = (
        Node(Cell.INPUT, (), input_format, "x", "x"),
        Node(Cell.MUL, (0, 0), exact, "square_x", "square(x)"),
        Node(Cell.RESIZE, (1,), output_format, "result", "square(x)", rounding="rnd", overflow="sat"),
    )
    return Datapath(
        "square(x)", input_format, output_format, nodes, 1, "any", 100.0, Certificate(0.5, 0.25, 0, 1)
    )


@pytest.mark.parametrize(("source", "to"), [("s8f4", "s8f2"), ("s16f11", "s10f7")])
def test_every_code_gives_what_the_datapath_gives(source, to):
    datapath = square(FixedFormat.parse(source), FixedFormat.parse(to))
    codes = datapath.input.codes()
    x = torch.from_numpy(datapath.input.to_float(codes)).float()
    got = FixedPointFunction(datapath)(x)
    np.testing.assert_array_equal(got.numpy(), datapath.output.to_float(datapath.evaluate(codes)))


def test_floats_between_codes_round_half_up_and_saturate():
    datapath = square(FixedFormat(8, 4), FixedFormat(16, 8))
    edges = datapath.input.to_float(datapath.input.codes()) + datapath.input.ulp / 2
    near = torch.from_numpy(np.concatenate([edges, [1e9, -1e9, float("inf")]])).float()
    x = torch.cat([near, torch.nextafter(near, torch.tensor(0.0)), torch.nextafter(near, torch.tensor(1e30))])
    codes = datapath.input.quantize(x.numpy())
    got = FixedPointFunction(datapath)(x.reshape(3, -1))
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.flatten().numpy(), datapath.output.to_float(datapath.evaluate(codes)))


def test_wide_inputs_are_refused():
    with pytest.raises(ValueError, match="at most 16 bits"):
        FixedPointFunction(square(FixedFormat(17, 8), FixedFormat(8, 4)))
