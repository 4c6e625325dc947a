"""A network with functions in place of norms is read as its norms were, whatever became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from random_networks import apart, images, small
from torch import nn

from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import Affine, Function, Norm
from hwnorm.graph.read import read_graph
from hwnorm.lowering.lower import lower
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import ChannelAffine, replace_norms
from hwnorm.targets.target import load_target

TANH = "2.58*tanh(0.7*x) + 0.24"
LINE = "0.75*x - 0.5"

#: Networks whose norms are read by a linear layer each, by one behind the mean, or by none.
NETWORKS: dict[str, dict[str, Any]] = {
    "class token": {},
    "norm behind the mean": {"global_pool": "avg"},
    "norm before the mean": {"global_pool": "avg", "fc_norm": False, "class_token": False},
    "no head": {"num_classes": 0},
    "q and k norms": {"qk_norm": True},
    "norms before proj and fc2": {"scale_attn_norm": True, "scale_mlp_norm": True, "init_values": 1e-5},
    "norm before the blocks": {"pre_norm": True, "embed_norm_layer": "layernorm"},
}


@pytest.fixture(scope="module")
def datapath() -> Datapath:
    return lower(parse(TANH), FixedFormat(12, 8), FixedFormat(8, 5), load_target("xcup"), 250.0)


def check(student: nn.Module) -> Graph:
    """The graph, which computes what the student does: in float64, where both fall on one side of a step."""
    student = student.double()
    graph, x = read_graph(student), images(student)
    with torch.no_grad():
        assert apart(graph(x), student(x)) < 1e-9
    return graph


def replaced(model: nn.Module, functions: Mapping[str, nn.Module] | nn.Module) -> nn.Module:
    """The student with functions for its norms; one function is for all of them."""
    if isinstance(functions, nn.Module):
        functions = dict.fromkeys((site.name for site in find_norms(model)), functions)
    return replace_norms(model, functions)


@pytest.mark.parametrize("case", NETWORKS)
@pytest.mark.parametrize("kind", ["expression", "bit-true", "line", "table"])
def test_a_replaced_network_and_its_graph_agree(case, kind, datapath):
    """No norm is left in the graph; a function is an operation, and so is the affine that nothing took up."""
    functions = {
        "expression": parse(TANH).to_module(),
        "bit-true": FixedPointFunction(datapath),
        "line": parse(LINE).to_module(),
        "table": parse("rom(x, -4, 4, -3, -2, -1, -0.3, 0.4, 1, 2, 3.5)").to_module(),
    }
    model = small(**NETWORKS[case])
    student = replaced(model, functions[kind])
    graph = check(student)
    assert not any(isinstance(op, Norm) for op in graph.operations)
    kept = {name for name, module in student.named_modules() if isinstance(module, ChannelAffine)}
    assert {op.out for op in graph.operations if isinstance(op, Affine)} == kept
    acts = {f"blocks.{i}.mlp.act" for i in range(2)}
    left = {op.layer for op in graph.operations if isinstance(op, Function)} - acts
    assert left == (kept if kind == "line" else {site.name for site in find_norms(model)})


def test_each_norm_may_have_a_function_of_its_own(datapath):
    """A norm that stays, one that folds away whole and three functions, in one network."""
    student = replaced(
        small(num_classes=0),
        {
            "blocks.0.norm1": parse(LINE).to_module(),
            "blocks.0.norm2": FixedPointFunction(datapath),
            "blocks.1.norm1": parse(TANH).to_module(),
            "norm": parse("x").to_module(),
        },
    )
    graph = check(student)
    made = {op.out: op for op in graph.operations}
    assert "blocks.0.norm1" not in made
    assert isinstance(made["blocks.0.norm2"], Function)
    assert isinstance(made["blocks.1.norm2"], Norm)
    assert isinstance(made["norm"], Affine)
    assert made["blocks.0.attn.q"].reads == ("embed",)


def test_a_bare_function_for_a_q_norm_carries_the_scale():
    """Put there by hand, without an affine: the scale of q k^T stands behind it, a value a channel."""
    model: Any = small(qk_norm=True)
    for block in model.blocks:
        block.attn.q_norm = parse(TANH).to_module()
        block.attn.k_norm = parse("clip(x, 1.5)").to_module()
    graph = check(model)
    (scaled,) = (op for op in graph.operations if op.out == "blocks.0.attn.q_norm.scaled")
    assert isinstance(scaled, Affine)
    assert len(scaled.weight) == len(scaled.bias) == 48
    assert set(scaled.weight.tolist()) == {model.blocks[0].attn.scale}


def test_edges_of_a_table_do_not_tell_a_graph_from_its_network(datapath):
    """Of so many values float32 rounds some to either side of a step; the graph is read all the same."""
    student = replaced(small(img_size=256, global_pool="avg", fc_norm=False), FixedPointFunction(datapath))
    graph, x = read_graph(student), images(student)
    with torch.no_grad():
        assert 1e-5 < apart(graph(x), student(x)) < 0.1


def test_a_module_that_is_no_function_of_ours_is_refused():
    """It might read more than one value; the norm is named, and what could stand there."""
    student = replaced(small(), {"blocks.1.norm2": nn.Sequential(parse(TANH).to_module())})
    with pytest.raises(
        InputError, match=r"^module 'blocks\.1\.norm2': is a Sequential; .* LayerNorm or a func"
    ):
        read_graph(student)
