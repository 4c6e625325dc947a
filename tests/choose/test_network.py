"""The loss of a choice: what re-alignment would give, and what single functions tell of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import hwnorm.choose.network
import hwnorm.realign.closed_form
from hwnorm.builtin import model as builtin
from hwnorm.choose.effect import effects, gradients_of
from hwnorm.choose.network import Calibration, NetworkLoss
from hwnorm.data.images import load_images
from hwnorm.expression import parse
from hwnorm.network.norms import find_norms
from hwnorm.network.refit import Student
from hwnorm.network.sensitivity import Sensitivity, refit_weights
from hwnorm.realign.closed_form import realign

IMAGES = 16


@pytest.fixture
def teacher(small_vit) -> nn.Module:
    return small_vit()


def network(teacher: nn.Module, monkeypatch: pytest.MonkeyPatch) -> NetworkLoss:
    """On so few images that a test takes no time."""
    monkeypatch.setattr(hwnorm.choose.network, "TOKENS", 17 * IMAGES)
    images = load_images(None, "train", builtin.build())
    layers = [site.name for site in find_norms(teacher) if site.consumers]
    return NetworkLoss(teacher, Calibration.of(teacher, images), layers)


def functions(teacher: nn.Module, text: str = "2*tanh(0.4*x)") -> dict[str, nn.Module]:
    return {site.name: parse(text).to_module() for site in find_norms(teacher)}


def test_no_image_is_in_two_parts(teacher, monkeypatch):
    """Fits, predictions and measurements each have images of their own; of few images each gets some."""
    images = network(teacher, monkeypatch).images
    assert [len(part) for part in (images.fit, images.predict, images.measure)] == [8, 8, 16]
    assert images.unseen == 16
    assert Calibration.of(teacher, load_images(None, "train", teacher).limited(2)).unseen == 0
    few = Calibration.of(teacher, load_images(None, "train", teacher).limited(7))
    for parts in (images, few):
        whole = torch.cat([parts.fit, parts.predict, parts.measure])
        assert len(whole.flatten(1).unique(dim=0)) == len(whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_that_are_still_norms_lose_nothing(teacher, monkeypatch, dtype):
    """Normalization itself in the place of each norm: what is measured is no artefact of the method."""
    loss = network(teacher, monkeypatch)
    norms = {
        site.name: nn.LayerNorm(site.channels, eps=site.eps, elementwise_affine=False)
        for site in find_norms(teacher)
    }
    unseen = loss.images.measure
    measured = loss.measure(norms, unseen, dtype)
    assert measured.loss < 1e-6
    assert measured.agreement == 100.0
    assert loss.measure(functions(teacher), unseen, dtype).loss > 1e-4


def test_layers_refit_as_re_alignment_does(teacher, monkeypatch):
    """The same fits as the walk of `realign` makes, tokens weighed by their place."""

    def by_place(model, images, batch, names, valued, progress):
        ((pixels, _),) = images.batches(batch)
        found = refit_weights(model, pixels, names)
        return Sensitivity({name: [weight.repeat(len(pixels))] for name, weight in found.items()}, {})

    monkeypatch.setattr(hwnorm.realign.closed_form, "sensitivity", by_place)
    monkeypatch.setattr(hwnorm.choose.network, "ENOUGH_ROWS", 1e-9)
    loss = network(teacher, monkeypatch)
    student = loss.student(functions(teacher), torch.float64)
    walk = Student(student, [loss.images.fit.double()], loss.around)
    for site in loss.around.sites:
        walk.refit(site, loss.recorded(torch.float64), loss.weighing(torch.float64))
    images = load_images(None, "train", builtin.build()).limited(IMAGES // 2)
    wanted = realign(teacher, functions(teacher), images)[0].state_dict()
    got = student.state_dict()
    assert wanted.keys() == got.keys()
    for name, value in wanted.items():
        if not name.startswith("head."):  # which re-alignment draws to the class probabilities
            torch.testing.assert_close(got[name].float(), value, rtol=1e-2, atol=2e-3, msg=name)


def test_functions_that_are_the_norm_have_no_effect(teacher, monkeypatch):
    """Normalization moves nothing; a function does, a bent one otherwise than a line; the original stays."""
    loss = network(teacher, monkeypatch)
    before = {name: value.clone() for name, value in loss.exact.state_dict().items()}
    tried = [
        nn.LayerNorm(32, eps=1e-6, elementwise_affine=False).double(),
        parse("2*tanh(0.4*x)").to_module(),
        parse("0.5*x").to_module(),
    ]
    found = effects(loss, gradients_of(loss), dict.fromkeys(loss.layers, tried))
    assert list(found) == loss.layers
    for moves in found.values():
        assert moves.shape == (3, 2 * len(loss.images.predict))
        none, bent, line = loss.loss_of(moves).tolist()
        assert none < 1e-6
        assert min(bent, line) > 100 * none
        assert bent != pytest.approx(line, rel=1e-3)
    for name, value in loss.exact.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_affine_function_leaves_nothing(teacher, monkeypatch):
    """A line in every layer: no module with an expression is left, and the original is untouched."""
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    loss = network(teacher, monkeypatch)
    student = loss.student(functions(teacher, "0.5*x + 0.125"), torch.float32)
    assert all(isinstance(student.get_submodule(name), nn.Identity) for name in loss.layers)
    loss.measure(functions(teacher, "0.5*x + 0.125"), loss.images.measure)
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_without_a_head_it_is_the_features_that_count(small_vit, monkeypatch):
    """Squared error over variance: 0 for itself, 1 for a constant; no classes to agree on."""
    loss = network(small_vit(num_classes=0), monkeypatch)
    output = loss.model(loss.images.measure).detach()
    assert loss.compare(output, output).loss == 0.0
    measured = loss.compare(output.mean(0).expand(IMAGES, -1), output)
    assert measured.loss == pytest.approx(1.0)
    assert measured.agreement is None


@pytest.mark.parametrize("classes", [10, 0])
def test_moves_along_the_directions_tell_the_loss(small_vit, monkeypatch, classes):
    """Of a small error of the output: on average over many directions its loss."""
    loss = network(small_vit(num_classes=classes), monkeypatch)
    output = loss.model(loss.images.measure).detach().double()
    output = output - output.mean(1, keepdim=True)
    error = 0.02 * torch.randn(output.shape, generator=torch.Generator().manual_seed(5)).double()
    moves = torch.cat([(error * direction).sum(1) for direction in loss.directions(output, 400)])
    assert float(loss.loss_of(moves)) == pytest.approx(loss.compare(output + error, output).loss, rel=0.1)


def test_kl_is_as_the_formula_says(teacher, monkeypatch):
    loss = network(teacher, monkeypatch)
    logits = loss.model(loss.images.measure).detach()
    spoilt = 0.5 * logits
    wanted = nn.functional.kl_div(
        spoilt.log_softmax(1), logits.log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert loss.compare(spoilt, logits).loss == pytest.approx(float(wanted), rel=1e-4)
