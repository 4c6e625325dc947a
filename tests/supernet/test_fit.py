"""A subnet is fitted towards the original, in sequence, and no image that it is measured on is fitted to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from supernet.small_supernets import SPACE, drawn, images_of, network, supernet_of, with_functions
from torch import Tensor, nn

from hwnorm.network.output_loss import OutputLoss
from hwnorm.supernet.fit import Fitting, block_order
from hwnorm.supernet.space import Block, Subnet
from hwnorm.supernet.supernet import Supernet

LOSS = OutputLoss(has_head=True)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network()


@pytest.fixture(scope="module")
def images(model: nn.Module) -> Tensor:
    return images_of(model, 160)


@pytest.fixture(scope="module")
def supernet(model: nn.Module, images: Tensor) -> Supernet:
    return supernet_of(model, with_functions(model), images[:32])


@pytest.fixture(scope="module")
def fitting(supernet: Supernet, images: Tensor) -> Fitting:
    return Fitting(supernet, images[:100], images[100:], LOSS)


def lost(supernet: Supernet, subnet: Subnet, images: Tensor) -> float:
    """What the slices lose as they are."""
    return LOSS.compare(supernet.view(subnet)(images[100:]), supernet.teacher(images[100:])).loss


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_wins_back_most_of_what_slices_lose(
    fitting: Fitting, supernet: Supernet, images: Tensor, seed: int
) -> None:
    subnet = drawn(seed)
    found = fitting(subnet)
    assert found.loss.loss < 0.5 * lost(supernet, subnet, images)


def test_the_output_is_that_of_the_fitted_graph(fitting: Fitting, images: Tensor) -> None:
    found = fitting(drawn(3))
    assert torch.allclose(found.graph(images[100:]), found.output, rtol=0, atol=1e-9)


def test_rows_are_codes_of_their_bits(fitting: Fitting, supernet: Supernet) -> None:
    subnet = drawn(5)
    bits = supernet.bits(subnet)
    for op in fitting(subnet).graph.linears:
        for row, width in zip(op.weight, bits[op.out], strict=True):
            steps = row.abs()[row.abs() > 1e-12].unique()
            most = 2 ** (int(width) - 1) - 1
            assert len(steps) <= most
            unit = float(row.abs().max()) / most
            # The largest code need not be used: the row's step is a multiple of nothing smaller.
            assert any(
                torch.allclose(row / (unit * most / k), (row / (unit * most / k)).round(), atol=1e-6)
                for k in range(1, most + 1)
            )


def test_what_is_kept_between_subnets_changes_nothing(
    supernet: Supernet, images: Tensor, fitting: Fitting
) -> None:
    """Subnets that begin alike share their first blocks: the same as of a fresh fitting."""
    one = drawn(7)
    last = max(one.kept)
    block = one.blocks[last]
    assert block is not None
    blocks = list(one.blocks)
    blocks[last] = replace(block, units=12)
    two = replace(one, blocks=tuple(blocks))
    fitting(one)
    fresh = Fitting(supernet, images[:100], images[100:], LOSS)
    assert torch.equal(fitting(two).output, fresh(two).output)


def test_what_is_held_out_is_not_fitted_to(supernet: Supernet, images: Tensor) -> None:
    """Other images there leave the weights as they are."""
    ours = Fitting(supernet, images[:100], images[100:], LOSS)(drawn(2)).graph
    others = Fitting(supernet, images[:100], images[100:] * -1, LOSS)(drawn(2)).graph
    for a, b in zip(ours.linears, others.linears, strict=True):
        assert torch.equal(a.weight, b.weight)
        assert torch.equal(a.bias, b.bias)


def test_blocks_are_given_up_in_the_order_of_what_that_costs(fitting: Fitting) -> None:
    order = block_order(fitting, SPACE.largest, 2)
    assert sorted(order) == [0, 1, 2]
    losses = {
        gone: fitting(Subnet(24, tuple(None if i == gone else Block(2, 96, 1.0) for i in range(3)))).loss.loss
        for gone in range(3)
    }
    assert order[-1] == min(losses, key=lambda block: losses[block])


def test_the_projection_before_a_gap_makes_up_for_it(supernet: Supernet, images: Tensor) -> None:
    """It is fitted to where the original is behind the block that is left out."""
    subnet = Subnet(24, (Block(2, 96, 1.0), None, Block(2, 96, 1.0)))
    fitting = Fitting(supernet, images[:100], images[100:], LOSS, rounding=False)
    graph = fitting(subnet).graph
    teacher = supernet.teacher.trace(images[:100])
    student = graph.trace(images[:100])
    stream = student["blocks.0.stream2"]
    behind, own = teacher["blocks.1.stream2"], teacher["blocks.0.stream2"]
    assert float((stream - behind).square().mean()) < float((own - behind).square().mean())


def test_states_are_kept_within_a_limit(
    supernet: Supernet, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for one alone the fits are the same."""
    subnets = [drawn(seed) for seed in range(3)]
    plain = Fitting(supernet, images[:100], images[100:], LOSS)
    wanted = [plain(subnet).loss for subnet in subnets]
    assert len(plain._states) > 3
    monkeypatch.setattr("hwnorm.supernet.fit.KEPT_BYTES", 1)
    limited = Fitting(supernet, images[:100], images[100:], LOSS)
    assert [limited(subnet).loss for subnet in subnets] == wanted
    assert len(limited._states) == 1
    assert limited._bytes == next(iter(limited._states.values())).bytes
