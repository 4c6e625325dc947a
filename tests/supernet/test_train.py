"""Training of subnets together: what is rounded and scaled, where it goes on, what is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noise_images import NoiseImages
from safetensors.torch import load_file
from supernet.small_supernets import SPACE, drawn, images_of, network, supernet_of, with_functions
from torch import nn

from hwnorm.builtin.model import NAME
from hwnorm.errors import InputError
from hwnorm.graph.graph import Graph
from hwnorm.graph.read import read_graph
from hwnorm.network.output_loss import OutputLoss
from hwnorm.network.subnet import read_subnet, weights_file
from hwnorm.supernet.extract import extract
from hwnorm.supernet.stored import PARTS, RECORD, SUBNET, read_supernet, write_supernet
from hwnorm.supernet.supernet import Supernet, scale_name
from hwnorm.supernet.train import Recipe, rounded_rows, scales_of, train, without_scales

LOSS = OutputLoss(has_head=True)
CPU = torch.device("cpu")
RECIPE = Recipe(epochs=3, batch=8, learning_rate=1e-2, random=1)


class Labelled(NoiseImages):
    labelled = True


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return network().float()


@pytest.fixture(scope="module")
def student(model: nn.Module) -> nn.Module:
    return with_functions(model).float()


@pytest.fixture(scope="module")
def supernet(model: nn.Module, student: nn.Module) -> Supernet:
    return supernet_of(model, student, images_of(model, 24).float())


@pytest.fixture(scope="module")
def images(model: nn.Module) -> NoiseImages:
    return NoiseImages(images_of(model, 64, seed=1).float())


@pytest.fixture(scope="module")
def trained(supernet: Supernet, model: nn.Module, images: NoiseImages, tmp_path_factory) -> Supernet:
    held = images_of(model, 32, seed=2).float()
    checkpoint = tmp_path_factory.mktemp("train") / "checkpoint.pt"
    found, epochs = train(supernet, SPACE, images, held, LOSS, RECIPE, checkpoint, CPU)
    assert len(epochs) == 3
    assert epochs[-1].smallest.loss < epochs[0].smallest.loss
    return found


def same(one: Graph, other: Graph) -> bool:
    """Whether two graphs have the same weights, bit for bit."""
    pairs = zip(one.linears, other.linears, strict=True)
    return all(torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias) for a, b in pairs)


def test_rows_are_codes_times_a_scale_and_gradients_pass() -> None:
    """Of each row's bits; a weight that is cut off has no gradient."""
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 200, generator=draw).requires_grad_(True)
    bits = torch.tensor([4, 4, 8, 4, 8, 8], dtype=torch.uint8)
    found = rounded_rows(weight, bits)
    found.sum().backward()
    assert weight.grad is not None
    for row, own, gradient, width in zip(
        found.detach(), weight.detach(), weight.grad, bits.tolist(), strict=True
    ):
        levels = row.unique()
        assert len(levels) <= 2**width - 1
        unit = float(levels.diff().min())
        assert torch.allclose(row / unit, (row / unit).round(), atol=1e-2)
        cut_off = own.abs() > row.abs().max() + 1e-4
        assert (width == 4) == bool(cut_off.any())
        assert bool((gradient[cut_off] == 0).all())
        inside = own.abs() < row.abs().max() - 1e-4
        assert bool((gradient[inside] == 1).all())
    error = (found - weight).detach().square().mean(1)
    assert float(error[bits == 8].max()) < 0.02 * float(error[bits == 4].min())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_scales_that_go_into_the_weights_change_no_subnet(
    supernet: Supernet, images: NoiseImages, seed: int, other: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    scales = {
        name: 0.5 + torch.rand(value.shape, generator=draw)
        for name, value in scales_of(supernet, SPACE).items()
    }
    before = replace(supernet, scales=scales)
    after = without_scales(before, SPACE.largest)
    for subnet in (SPACE.largest, drawn(other)):
        found = [each.view(subnet)(images.pixels[:4]) for each in (before, after)]
        assert torch.allclose(*found, rtol=1e-4, atol=1e-4)
    view = after.view(SPACE.largest)
    names = [scale_name(op) for op in view.linears if scale_name(op) in after.scales]
    assert names
    assert all(torch.allclose(after.scales[name], torch.ones(24)) for name in names)


def test_a_subnet_with_a_scale_of_its_own_is_another(supernet: Supernet, images: NoiseImages) -> None:
    scales = {name: 2 * value for name, value in scales_of(supernet, SPACE).items()}
    plain = supernet.view(SPACE.smallest)(images.pixels[:4])
    assert not torch.allclose(replace(supernet, scales=scales).view(SPACE.smallest)(images.pixels[:4]), plain)


def test_trained_subnets_lose_less(
    supernet: Supernet, trained: Supernet, model: nn.Module, images: NoiseImages
) -> None:
    """On images that were not trained on, each as it stands."""
    held = images_of(model, 64, seed=3).float()
    wanted = supernet.teacher(held)
    for subnet in (SPACE.smallest, *(drawn(seed) for seed in range(6))):
        before, after = (LOSS.compare(net.view(subnet)(held), wanted).loss for net in (supernet, trained))
        assert after < 0.7 * before, subnet


def test_training_that_was_stopped_ends_alike(
    supernet: Supernet, trained: Supernet, model: nn.Module, images: NoiseImages, tmp_path: Path
) -> None:
    held, checkpoint = images_of(model, 32, seed=2).float(), tmp_path / "checkpoint.pt"

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 11:
            raise Stopped

    with pytest.raises(Stopped):
        train(supernet, SPACE, images, held, LOSS, RECIPE, checkpoint, CPU, stop)
    steps: list[int] = []
    found, epochs = train(
        supernet, SPACE, images, held, LOSS, RECIPE, checkpoint, CPU, lambda done, _: steps.append(done)
    )
    assert steps[0] == 9  # an epoch has 8 steps, and writes what it came to
    assert len(epochs) == 3
    assert same(found.graph, trained.graph)
    assert all(torch.equal(found.scales[name], trained.scales[name]) for name in trained.scales)


def test_another_recipe_does_not_go_on(
    supernet: Supernet, model: nn.Module, images: NoiseImages, tmp_path: Path
) -> None:
    held, checkpoint = images_of(model, 32, seed=2).float(), tmp_path / "checkpoint.pt"
    train(supernet, SPACE, images, held, LOSS, replace(RECIPE, epochs=1), checkpoint, CPU)
    steps: list[int] = []
    recipe = replace(RECIPE, epochs=1, random=0)
    train(supernet, SPACE, images, held, LOSS, recipe, checkpoint, CPU, lambda done, _: steps.append(done))
    assert steps[0] == 1


def test_scales_of_no_drawn_subnet_stay(supernet: Supernet, model: nn.Module, tmp_path: Path) -> None:
    """The active ones alone are trained."""
    images, held = NoiseImages(images_of(model, 8).float()), images_of(model, 8).float()
    recipe = replace(RECIPE, epochs=1, random=0)
    found, _ = train(supernet, SPACE, images, held, LOSS, recipe, tmp_path / "c.pt", CPU)
    touched = {
        scale_name(op)
        for subnet in (SPACE.largest, SPACE.smallest)
        for op in supernet.view(subnet).linears
        if scale_name(op) in found.scales
    }
    largest = {scale_name(op): op.out for op in supernet.view(SPACE.largest).linears}
    by_layer = {out: name for name, out in largest.items()}
    for name, value in found.scales.items():
        if name not in touched:
            # What was one is divided by what the largest subnet's has become.
            ratio = found.scales[by_layer[name.rpartition("/")[0]]] / value
            assert float((ratio - 1).abs().max()) < 0.1
    moved = [name for name in touched if float((found.scales[name] - 1).abs().max()) > 1e-4]
    assert moved


def test_without_labels_and_without_the_original_there_is_nothing_to_train_towards(
    supernet: Supernet, images: NoiseImages, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=1, distillation=False)
    with pytest.raises(InputError, match=r"train\.distillation: false; images without classes"):
        train(supernet, SPACE, images, images.pixels[:8], LOSS, recipe, tmp_path / "c.pt", CPU)
    found, _ = train(
        supernet, SPACE, Labelled(images.pixels[:8]), images.pixels[:8], LOSS, recipe, tmp_path / "c.pt", CPU
    )
    assert not same(found.graph, supernet.graph)


def test_a_rate_that_is_too_large_is_said(supernet: Supernet, images: NoiseImages, tmp_path: Path) -> None:
    recipe = replace(RECIPE, learning_rate=1e30)
    with pytest.raises(InputError, match=r"a smaller train\.learning_rate is needed"):
        train(supernet, SPACE, images, images.pixels[:8], LOSS, recipe, tmp_path / "c.pt", CPU)


def test_what_is_stored_has_the_same_subnets(
    trained: Supernet, model: nn.Module, student: nn.Module, images: NoiseImages, tmp_path: Path
) -> None:
    """Up to the half precision of its weights; other files than those that were written are refused."""
    told = {"recipe": {}, "images": 64, "epochs": []}
    write_supernet(tmp_path, trained, SPACE, student, {"model": NAME, "arguments": {}}, 0, **told)

    largest = SPACE.largest
    module = extract(student, trained.view(largest), largest, 12, trained.bits(largest)).module
    module.load_state_dict({k: v.float() for k, v in load_file(weights_file(tmp_path / SUBNET)).items()})
    found, blocks = read_supernet(tmp_path, module, read_graph(model))
    assert blocks == SPACE.order
    for subnet in (largest, SPACE.smallest, *(drawn(seed) for seed in range(5))):
        outputs = [each.view(subnet)(images.pixels[:8]) for each in (trained, found)]
        assert torch.allclose(*outputs, rtol=0.02, atol=0.02)
        assert all((found.bits(subnet)[k] == v).all() for k, v in trained.bits(subnet).items())
    assert torch.allclose(found.teacher(images.pixels), trained.teacher(images.pixels), atol=1e-5)
    assert read_subnet(tmp_path / SUBNET).width == 24
    (tmp_path / PARTS).write_bytes((tmp_path / PARTS).read_bytes()[:-4])
    with pytest.raises(InputError, match=f"is not what {RECORD} was written with"):
        read_supernet(tmp_path, module, read_graph(model))
