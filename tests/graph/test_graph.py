"""A graph holds together: what is read has been made, and is kept for as long as it is read."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_networks import images, small

from hwnorm.graph.graph import IMAGES, Graph
from hwnorm.graph.operations import Add, Linear, Operation, Softmax
from hwnorm.graph.read import read_graph


@pytest.fixture
def graph() -> Graph:
    """Of a network with registers and norms of q and k."""
    return read_graph(small(reg_tokens=1, qk_norm=True))


def test_what_nothing_made_cannot_be_read():
    """Neither a tensor that there is none of, nor one that is made later, nor its own."""
    with pytest.raises(ValueError, match=r"^'b' reads 'a', which nothing before it makes$"):
        Graph((Softmax("b", "a"),))
    with pytest.raises(ValueError, match=r"^'b' reads 'a', which nothing before it makes$"):
        Graph((Softmax("b", "a"), Softmax("a", IMAGES)))
    with pytest.raises(ValueError, match=r"^'a' reads 'a', which nothing before it makes$"):
        Graph((Add("a", IMAGES, "a"),))


def test_a_tensor_is_made_once():
    with pytest.raises(ValueError, match=r"^two operations make 'a'$"):
        Graph((Softmax("a", IMAGES), Softmax("a", "a")))
    with pytest.raises(ValueError, match=r"^two operations make 'images'$"):
        Graph((Softmax(IMAGES, IMAGES),))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Sums and softmaxes of whatever there is, images among them."""
    operations: list[Operation] = []
    for i in range(draw(st.integers(1, 12))):
        known = st.sampled_from([IMAGES, *(op.out for op in operations)])
        out = f"t{i}"
        operations.append(
            draw(
                st.one_of(
                    st.builds(Add, st.just(out), known, known), known.map(lambda x, o=out: Softmax(o, x))
                )
            )
        )
    return Graph(tuple(operations))


@given(graphs())
def test_each_tensor_goes_after_its_last_reader(graph):
    """The law: what is read is there, goes with its last reader and once, and never is the output."""
    there, gone = {IMAGES}, []
    steps = list(graph.steps())
    assert tuple(op for op, _ in steps) == graph.operations
    for i, (op, done) in enumerate(steps):
        assert set(op.reads) <= there
        there |= {op.out}
        assert all(name in op.reads for name in done)
        assert not any(name in later.reads for name in done for later, _ in steps[i + 1 :])
        there -= set(done)
        gone += done
    assert len(gone) == len(set(gone))
    assert set(gone) == {name for op in graph.operations for name in op.reads}
    assert graph.output in there


@given(graphs())
def test_freeing_changes_no_value(graph):
    """The output of a call is the trace's, which frees nothing."""
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    values = graph.trace(x)
    assert values.keys() == {IMAGES, *(op.out for op in graph.operations)}
    assert torch.equal(graph(x), values[graph.output])


def test_a_trace_is_what_a_call_computes(graph):
    """Of a network, bit for bit; through the trace gradients flow back to the images, through a call none."""
    x = images(small()).requires_grad_()
    values = graph.trace(x)
    out = graph(x)
    assert values[graph.output].shape == (3, 1, 7)
    assert torch.equal(out, values[graph.output][:, 0])
    assert not out.requires_grad
    values[graph.output].square().sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) > 0


def test_consumers_are_those_that_read(graph):
    """In order; of the output there are none."""
    names = lambda name: [op.out for op in graph.consumers(name)]  # noqa: E731
    assert names(IMAGES) == ["patches"]
    assert names("embed") == ["blocks.0.norm1", "blocks.0.stream1"]
    assert names("blocks.0.norm1") == [f"blocks.0.attn.{part}" for part in "qkv"]
    assert names("blocks.0.attn.v") == ["blocks.0.attn.context"]
    assert names("pool") == ["head"]
    assert names(graph.output) == []


def test_linears_are_the_networks_linear_layers(graph):
    """q, k and v are three of one module."""
    layers = ["patch_embed.proj"]
    for i in range(2):
        layers += [f"blocks.{i}.{name}" for name in (*["attn.qkv"] * 3, "attn.proj", "mlp.fc1", "mlp.fc2")]
    assert [op.layer for op in graph.linears] == [*layers, "head"]
    assert all(isinstance(op, Linear) for op in graph.linears)
