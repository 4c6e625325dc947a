"""The PyTorch rendering of a datapath gives the value of every code that the datapath gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.expression import parse
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


def expected(datapath: Datapath, x: torch.Tensor) -> np.ndarray:
    """What the datapath makes of x, by its definition."""
    codes = datapath.input.quantize(x.double().numpy())
    return datapath.output.to_float(datapath.evaluate(codes))


@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40),
    st.integers(2, 16),
    st.integers(-4, 20),
)
def test_every_float32_gives_what_the_datapath_gives(values, width, frac):
    """Denormals, infinities, and what is nearest to a half: 0.5 - 2**-25 plus a half is 1 in float32."""
    datapath = square(FixedFormat(width, frac), FixedFormat(12, frac))
    near_half = torch.tensor([0.5, -0.5, 1.5, -1.5]) * datapath.input.ulp
    x = torch.cat(
        [torch.tensor(values), near_half, *(near_half.nextafter(near_half + s) for s in (-9.0, 9.0))]
    )
    np.testing.assert_array_equal(FixedPointFunction(datapath)(x).numpy(), expected(datapath, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_what_is_not_a_number_stays_none(dtype):
    """As the norm has it that the function stands for; numbers beside it are not touched, nor gradients."""
    function = FixedPointFunction(square(FixedFormat(8, 4), FixedFormat(16, 8)))
    x = torch.tensor([1.5, torch.nan, -99.0, torch.inf], dtype=dtype, requires_grad=True)
    y = function(x)
    y.nansum().backward()
    for got in (y.detach(), function(x.detach())):
        assert torch.equal(got.isnan(), x.isnan())
        assert got[0] == 2.25
        assert got[2:].tolist() == [64.0, torch.tensor(63.00390625).to(dtype)]
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_keep_their_type(dtype):
    """Float64 tells more values around a code's edge apart than float32."""
    datapath = square(FixedFormat(10, 6), FixedFormat(8, 4))
    edges = torch.from_numpy(datapath.input.to_float(datapath.input.codes()) + datapath.input.ulp / 2).to(
        dtype
    )
    x = torch.cat([edges, *(edges.nextafter(torch.full_like(edges, limit)) for limit in (-99.0, 99.0))])
    got = FixedPointFunction(datapath)(x)
    assert got.dtype == dtype
    want = torch.from_numpy(expected(datapath, x)).to(dtype)
    assert torch.equal(got, want)


@pytest.mark.parametrize(
    ("shape", "order", "layout"),
    [
        ((2, 5, 3), (0, 2, 1), torch.contiguous_format),
        ((2, 5, 4, 3), (0, 3, 1, 2), torch.channels_last),
        ((2, 5, 4, 3), (0, 2, 3, 1), torch.contiguous_format),
    ],
    ids=["tokens that were a map", "channels last", "tokens in a grid that were a map"],
)
@pytest.mark.parametrize("text", [None, "rom(x, -1, 1, 3, 1, -2, 5)", "pwl(x, -1, 0, 0.5, 2, 1, -1)"])
def test_memory_layout_is_what_readers_take_fastest(shape, order, layout, text):
    """A transposed stream comes out in order, maps with channels last stay so; the values are the same."""
    datapath = square(FixedFormat(8, 4), FixedFormat(8, 4))
    function = FixedPointFunction(datapath) if text is None else parse(text).to_module()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).permute(order)
    got = function(x)
    assert torch.equal(got, function(x.contiguous()))
    assert got.is_contiguous(memory_format=layout)


def test_wide_inputs_are_refused():
    with pytest.raises(ValueError, match="at most 16 bits"):
        FixedPointFunction(square(FixedFormat(17, 8), FixedFormat(8, 4)))
