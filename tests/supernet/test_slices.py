"""A subnet is a view of the whole network, and a plain module that computes the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from integer.small_networks import images_for, source_of
from supernet.small_supernets import (
    SPACE,
    count_of,
    drawn,
    images_of,
    network,
    renumbered,
    supernet_of,
    with_functions,
)
from torch import Tensor, nn

from hwnorm.data.config import input_config
from hwnorm.errors import InputError
from hwnorm.graph.graph import Graph
from hwnorm.graph.read import read_graph
from hwnorm.integers.network import Pixels
from hwnorm.integers.quantize import Recipe, quantize
from hwnorm.integers.stored import records
from hwnorm.nas.presets import PRESETS
from hwnorm.supernet.extract import extract
from hwnorm.supernet.slices import STREAM, Groups, heads_of, reordered, units_of
from hwnorm.supernet.space import Block, Gene, Space, Subnet
from hwnorm.supernet.supernet import Ordering, Supernet
from hwnorm.targets.target import load_target

WHOLE = Subnet(24, (Block(2, 96, 1.0),) * 3)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network()


@pytest.fixture(scope="module")
def images(model: nn.Module) -> Tensor:
    return images_of(model, 24)


@pytest.fixture(scope="module")
def student(model: nn.Module) -> nn.Module:
    return with_functions(model)


@pytest.fixture(scope="module")
def supernet(model: nn.Module, student: nn.Module, images: Tensor) -> Supernet:
    return supernet_of(model, student, images)


def test_the_whole_network_in_another_order_is_the_same(
    model: nn.Module, student: nn.Module, supernet: Supernet, images: Tensor
) -> None:
    for graph, module in ((supernet.graph, student), (supernet.teacher, model)):
        assert torch.allclose(graph(images), module(images), rtol=0, atol=1e-9)
    assert any(not torch.equal(o, torch.arange(len(o))) for o in supernet.ordering.channels.values())


def test_heads_stay_whole(supernet: Supernet) -> None:
    for i in range(3):
        order = supernet.ordering.channels[heads_of(i)].reshape(2, 12)
        assert torch.equal(order % 12, torch.arange(12).expand(2, 12))


def test_weights_are_views(supernet: Supernet) -> None:
    """Changed in place in the supernet, they are changed in the subnet."""
    view = supernet.view(drawn(1))
    whole = {op.out: op for op in supernet.graph.linears}
    for op in view.linears:
        assert op.weight.untyped_storage().data_ptr() == whole[op.out].weight.untyped_storage().data_ptr()
        assert op.bias.untyped_storage().data_ptr() == whole[op.out].bias.untyped_storage().data_ptr()


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_a_subnet_is_the_network_with_the_rest_at_nothing(
    supernet: Supernet, images: Tensor, seed: int
) -> None:
    """Of heads, units and blocks: what is left out adds nothing to the stream."""
    subnet = replace(drawn(seed), width=24)
    silent = []
    sizes = {op.out: op for op in supernet.view(subnet).linears}
    for op in supernet.graph.linears:
        if op.out.endswith(("proj", "fc2")):
            weight, bias = torch.zeros_like(op.weight), torch.zeros_like(op.bias)
            if op.out in sizes:
                weight[:, : sizes[op.out].weight.shape[1]] = sizes[op.out].weight
                bias = op.bias
            op = replace(op, weight=weight, bias=bias)
        silent.append(op)
    by_name = {op.out: op for op in silent}
    whole = replace(
        supernet.graph, operations=tuple(by_name.get(op.out, op) for op in supernet.graph.operations)
    )
    assert torch.allclose(supernet.view(subnet)(images), whole(images), rtol=0, atol=1e-9)


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_a_module_computes_what_the_view_does(
    student: nn.Module, supernet: Supernet, images: Tensor, seed: int
) -> None:
    subnet = drawn(seed)
    view = supernet.view(subnet)
    found = extract(student, view, subnet, supernet.groups.head_dim, supernet.bits(subnet))
    assert torch.allclose(found.module(images), view(images), rtol=0, atol=1e-9)
    ours, theirs = renumbered(view, subnet), read_graph(found.module)
    assert [op.out for op in ours.operations] == [op.out for op in theirs.operations]
    kept = [b for b in subnet.blocks if b is not None]
    assert [(b.heads, b.units) for b in found.blocks] == [(b.heads, b.units) for b in kept]


def test_their_integers_are_the_same_codes() -> None:
    """Of the view and of the module, which store queries before and behind their scale."""
    model = network().float()
    student = with_functions(model).float()
    images = images_for(model, 30)
    supernet = supernet_of(model, student, images)
    config = input_config(model)
    pixels = Pixels(tuple(config["mean"]), tuple(config["std"]))
    for subnet in (drawn(0), drawn(1)):
        found = extract(
            student, supernet.view(subnet), subnet, supernet.groups.head_dim, supernet.bits(subnet)
        )
        source = source_of(found.module)
        graphs = [source.graph, renumbered(supernet.view(subnet), subnet)]
        made = [
            quantize(
                replace(source, graph=graph, teacher=graph, wide=found.wide),
                pixels,
                images,
                Recipe(),
                load_target("xcup", ""),
                250.0,
            ).network
            for graph in graphs
        ]
        (told, codes), (again, others) = (records(network) for network in made)
        assert told == again
        assert all((codes[name] == others[name]).all() for name in codes)
        for op in made[0].linears:
            wide = [i for i, bits in enumerate(op.bits) if bits == 8]
            assert wide == found.wide[_linear_of(made[0], op.out, found.wide)]


def _linear_of(network: Any, out: str, wide: dict[str, list[int]]) -> str:
    """The graph's name of a layer whose sum with the stream is one operation of the integers."""
    names = {"embed": "patch_embed", "stream1": "attn.proj", "stream2": "mlp.fc2"}
    if out in wide:
        return out
    block, _, last = out.rpartition(".")
    return f"{block}.{names[last]}" if block else names[out]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_subnets_of_every_preset_come_out_the_same(preset: str) -> None:
    """On random weights of its largest network: as a view and as a module, to 1e-5 of the largest output."""
    axes = {name: tuple(sorted(values)) for name, values in PRESETS[preset].items()}
    width, heads = axes["width"][-1], axes["heads"][-1]
    depth = min(3, axes["depth"][-1])
    model = small_of(width, heads, depth, axes["mlp"][-1])
    images = images_for(model, 4)
    graph = read_graph(model)
    supernet = Supernet.of(graph, graph, shuffled(graph))
    space = Space(
        axes["width"], (depth - 1, depth), axes["heads"], axes["mlp"], axes["ratio8"], (0, 2, 1)[:depth]
    )
    for seed in range(3):
        subnet = drawn(seed, space)
        view = supernet.view(subnet)
        module = extract(model, view, subnet, supernet.groups.head_dim, supernet.bits(subnet)).module
        wanted = view(images)
        error = (module(images) - wanted).detach().abs().max()
        assert float(error) <= 1e-5 * float(wanted.abs().max())


def shuffled(graph: Graph) -> Ordering:
    """Any order, with heads whole: which one is no matter of slices."""
    groups, draw = Groups.read(graph), torch.Generator().manual_seed(0)
    channels = {}
    for group, size in groups.sizes.items():
        part = groups.head_dim if group.startswith("heads") else 1
        order = torch.randperm(size // part, generator=draw)
        channels[group] = (order[:, None] * part + torch.arange(part)).flatten()
    wide = {op.out: torch.randperm(len(op.weight), generator=draw) for op in graph.linears}
    return Ordering(channels, wide, {})


def small_of(width: int, heads: int, depth: int, mlp: float) -> nn.Module:
    from integer.small_networks import small

    return small(embed_dim=width, num_heads=heads, depth=depth, mlp_ratio=mlp)


def test_class_tokens_registers_and_positions_are_sliced(images: Tensor) -> None:
    model = network(class_token=True, reg_tokens=2, global_pool="token", init_values=0.1)
    supernet = supernet_of(model, model, images)
    for seed in range(4):
        subnet = drawn(seed)
        view = supernet.view(subnet)
        module = extract(model, view, subnet, supernet.groups.head_dim, supernet.bits(subnet)).module
        assert torch.allclose(module(images), view(images), rtol=0, atol=1e-9)


def test_rows_of_8_bits_are_those_that_come_first(supernet: Supernet) -> None:
    subnet = Subnet(16, (Block(1, 24, 0.5), Block(2, 48, 0.0), None))
    bits = supernet.bits(subnet)
    for op in supernet.view(subnet).linears:
        assert len(bits[op.out]) == len(op.weight)
    order = supernet.ordering.wide["blocks.0.mlp.fc1"].tolist()
    kept = [row for row in order if row < 24][:12]
    assert sorted(kept) == [i for i, b in enumerate(bits["blocks.0.mlp.fc1"]) if b == 8]
    assert (bits["blocks.1.mlp.fc2"] == 4).all()
    assert (bits["head"] == 8).all()
    assert (bits["patch_embed"] == 8).all()


def test_normed_queries_have_no_slices() -> None:
    with pytest.raises(InputError, match="queries and keys are normed"):
        Groups.read(read_graph(network(qk_norm=True)))


def test_groups_and_orders(supernet: Supernet) -> None:
    sizes = supernet.groups.sizes
    assert sizes[STREAM] == 24
    assert sizes[heads_of(0)] == 24
    assert sizes[units_of(2)] == 96
    shuffled = reordered(supernet.graph, supernet.groups, {STREAM: torch.arange(23, -1, -1)})
    assert torch.equal(shuffled.linears[0].weight, supernet.graph.linears[0].weight.flip(0))


def test_an_ordering_is_kept_in_a_file(supernet: Supernet) -> None:
    again = Ordering.from_tensors(supernet.ordering.tensors())
    for kind in ("channels", "wide", "tokens"):
        ours, theirs = getattr(supernet.ordering, kind), getattr(again, kind)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_a_space_counts_its_subnets() -> None:
    space = Space((8, 16), (1, 2), (1,), (1.0, 2.0), (0.0,), (1, 0))
    assert count_of(space) == 2 * (2 + 4)
    found = space.uniform(8, 1, Gene(1, 2.0, 0.0))
    assert found == Subnet(8, (None, Block(1, 16, 0.0)))
    assert found.depth == 1
    assert found.kept == (1,)
    assert len(set(SPACE.uniforms())) == 3 * 2 * 2 * 4 * 3
    assert SPACE.largest == WHOLE
    assert SPACE.smallest.width == 12
