"""The loss of a choice: what re-alignment would give, exchanges one by one, and nothing left changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import hwnorm.choose.network
import hwnorm.realign.closed_form
from hwnorm.builtin import model as builtin
from hwnorm.choose.network import NetworkLoss, Student, calibration
from hwnorm.choose.survey import deltas
from hwnorm.data.images import load_images
from hwnorm.expression import parse
from hwnorm.network.norms import find_norms
from hwnorm.network.replay import Replay
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
    return NetworkLoss(teacher, calibration(teacher, images), layers)


def functions(teacher: nn.Module, text: str = "2*tanh(0.4*x)") -> dict[str, nn.Module]:
    return {site.name: parse(text).to_module() for site in find_norms(teacher)}


def test_norms_that_are_still_norms_lose_nothing(teacher, monkeypatch):
    """Normalization itself in the place of each norm: what is measured is no artefact of the method."""
    loss = network(teacher, monkeypatch)
    norms = {
        site.name: nn.LayerNorm(site.channels, eps=site.eps, elementwise_affine=False)
        for site in find_norms(teacher)
    }
    measured = loss.measure(norms)
    assert measured.loss < 1e-6
    assert measured.agreement == 100.0
    assert loss.measure(functions(teacher)).loss > 1e-4


def test_layers_refit_as_re_alignment_does(teacher, monkeypatch):
    """One forward pass gives the weights that the walk of `realign` finds, tokens weighed by their place."""

    def by_place(model, images, batch, names, valued, progress):
        ((pixels, _),) = images.batches(batch)
        found = refit_weights(model, pixels, names)
        return Sensitivity({name: [weight.repeat(len(pixels))] for name, weight in found.items()}, {})

    monkeypatch.setattr(hwnorm.realign.closed_form, "sensitivity", by_place)
    monkeypatch.setattr(hwnorm.choose.network, "ENOUGH_ROWS", 1e-9)
    loss = network(teacher, monkeypatch)
    assert len(loss.pixels) == IMAGES
    student = Student(loss, functions(teacher))
    student.measure()
    images = load_images(None, "train", builtin.build()).limited(IMAGES // 2)
    wanted = realign(teacher, functions(teacher), images)[0].state_dict()
    got = student.model.state_dict()
    assert wanted.keys() == got.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-2, atol=2e-3, msg=name)


def test_exchanges_are_those_of_whole_networks(teacher, monkeypatch):
    """Each exchange loses what the network with that choice loses, a fold too; the student stays the same."""
    loss = network(teacher, monkeypatch)
    base = functions(teacher)
    others = [parse(text).to_module() for text in ("clip(x, 1.5)", "0.5*x + 0.125", "2*tanh(0.4*x)")]
    at_base, found = deltas(loss, base, dict.fromkeys(base, others))
    assert at_base == loss.measure(base)
    for layer in base:
        for function, delta in zip(others, found[layer], strict=True):
            whole = loss.measure(base | {layer: function})
            assert delta == pytest.approx(whole.loss - at_base.loss, abs=2e-5)
        assert found[layer][-1] == pytest.approx(0.0, abs=2e-5)
        assert abs(found[layer][0]) > 1e-4


def test_an_affine_function_leaves_nothing(teacher, monkeypatch):
    """A line in every layer: no module with an expression is left, and the original is untouched."""
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student = Student(network(teacher, monkeypatch), functions(teacher, "0.5*x + 0.125"))
    student.measure()
    assert all(isinstance(student.model.get_submodule(name), nn.Identity) for name in student.order)
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_without_a_head_it_is_the_features_that_count(small_vit, monkeypatch):
    """Squared error over variance: 0 for itself, 1 for a constant; no classes to agree on."""
    loss = network(small_vit(num_classes=0), monkeypatch)
    half = IMAGES // 2
    output = loss.model(loss.pixels).detach()
    assert loss.compare(output).loss == 0.0
    constant = output[half:].mean(0).expand(IMAGES, -1)
    measured = loss.compare(constant)
    assert measured.loss == pytest.approx(1.0)
    assert measured.agreement is None


def test_kl_is_measured_on_the_images_that_no_fit_has_seen(teacher, monkeypatch):
    """Logits that are spoilt for the first half alone cost nothing; for the second, as the formula says."""
    loss = network(teacher, monkeypatch)
    half = IMAGES // 2
    logits = loss.model(loss.pixels).detach()
    spoilt = logits.clone()
    spoilt[:half] += torch.arange(10.0)
    assert loss.compare(spoilt).loss == pytest.approx(0.0, abs=1e-12)
    spoilt = logits.clone()
    spoilt[half:] *= 0.5
    wanted = nn.functional.kl_div(
        spoilt[half:].log_softmax(1), logits[half:].log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert loss.compare(spoilt).loss == pytest.approx(float(wanted), rel=1e-4)


def test_replay_computes_only_what_comes_after(teacher):
    """From a layer on the output is the same, and the modules before it are not called."""
    pixels = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    layers = [site.name for site in find_norms(teacher)]
    replay = Replay(teacher, pixels, layers)
    wanted = replay.run()
    calls: list[str] = []
    for name in ("patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.mlp.fc1", "blocks.1.attn.qkv"):
        teacher.get_submodule(name).register_forward_pre_hook(lambda module, args, n=name: calls.append(n))
    for layer, left in (("blocks.0.norm2", 2), ("blocks.1.norm1", 1), ("norm", 0)):
        replay.advance(layer)
        calls.clear()
        torch.testing.assert_close(replay.run(), wanted)
        assert len(calls) == left, layer
    assert "forward" not in vars(teacher.get_submodule("blocks.0"))
