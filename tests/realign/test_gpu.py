"""On a GPU everything comes to what it comes to on a CPU. Skipped where there is none."""

from __future__ import annotations

import copy
from dataclasses import replace as change

import pytest
import torch
from small_students import FAST, TANH, datapaths_of, interrupted_after_one_epoch, replaced, sites_of
from torch import nn

import hwnorm
from hwnorm.capture.hooks import capture
from hwnorm.data.images import load_images
from hwnorm.network.evaluate import evaluate
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import functions_of
from hwnorm.realign.closed_form import realign
from hwnorm.realign.distributed import processes
from hwnorm.realign.finetune import finetune

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

AMP = change(FAST, amp=True)


@pytest.fixture
def images(teacher):
    return load_images(None, "train", teacher).limited(200)


def close(ours: nn.Module, theirs: nn.Module, **tolerance: float) -> None:
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value.cpu(), theirs.state_dict()[name].cpu(), msg=name, **tolerance)


def test_the_device_of_fine_tuning_is_the_gpu():
    with processes() as device:
        assert device.type == "cuda"


def test_capture(teacher, images):
    there, here = (
        capture(model, images, find_norms(model)) for model in (copy.deepcopy(teacher).cuda(), teacher)
    )
    for name, profile in here.items():
        assert there[name].tokens == profile.tokens
        assert there[name].ceiling_r2 == pytest.approx(profile.ceiling_r2, abs=1e-3)
        assert there[name].x_max == pytest.approx(profile.x_max, rel=1e-3)


@pytest.mark.parametrize("fixed", [False, True])
def test_replaced_norms(teacher, images, fixed):
    """The student of a network on a GPU is on the GPU, and puts out what it does on a CPU."""
    datapaths = datapaths_of(teacher)
    pixels, _ = next(images.batches(50))
    here = hwnorm.replace(teacher, datapaths, fixed=fixed)
    there = hwnorm.replace(copy.deepcopy(teacher).cuda(), datapaths, fixed=fixed)
    close(here, there)
    with torch.no_grad():
        found, expected = there(pixels.cuda()).cpu(), here(pixels)
    # A bit-true function jumps: where an input lies on a step, rounding decides.
    assert float((found - expected).abs().mean()) < (1e-2 if fixed else 1e-5)


def test_bits(teacher):
    datapath = next(iter(datapaths_of(teacher).values()))
    module = functions_of({"x": datapath}, fixed=True)["x"]
    x = torch.linspace(-20, 20, 9001)
    expected = module(x)
    assert torch.equal(module.cuda()(x.cuda()).cpu(), expected)


def test_closed_form(teacher, images):
    choice = functions_of(dict.fromkeys(sites_of(teacher), TANH), fixed=False)
    here, _ = realign(teacher, choice, images, batch=50)
    there, _ = realign(copy.deepcopy(teacher).cuda(), copy.deepcopy(choice), images, batch=50)
    assert next(there.parameters()).device.type == "cuda"
    pixels, _ = next(images.batches(100))
    with torch.no_grad():
        wanted, found, expected = teacher(pixels), there(pixels.cuda()).cpu(), here(pixels)
    # Both end as near to the teacher; ridges of few images leave directions open.
    error = float((expected - wanted).square().mean())
    assert float((found - wanted).square().mean()) == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize("method", ["A", "F", "D", "features"])
@pytest.mark.parametrize("amp", [False, True])
def test_fine_tuning(teacher, images, method, amp):
    student = replaced(teacher).cuda()
    recipe = change(FAST, method=method, amp=amp)
    history = finetune(student, teacher.cuda(), sites_of(teacher), images, recipe)
    assert min(epoch.loss for epoch in history[1:]) < history[0].loss
    assert all(p.device.type == "cuda" for p in student.parameters())
    student(torch.zeros(1, 1, 28, 28, device="cuda"))


def test_without_amp_the_losses_are_those_of_a_cpu(teacher, images):
    histories = []
    for device in ("cpu", "cuda"):
        student = replaced(teacher).to(device)
        on = copy.deepcopy(teacher).to(device)
        histories.append(finetune(student, on, sites_of(teacher), images, FAST))
    for here, there in zip(*histories, strict=True):
        assert there.loss == pytest.approx(here.loss, rel=1e-2)


def test_hardware_in_the_loop(teacher, images):
    student = hwnorm.replace(teacher, datapaths_of(teacher), fixed=True).cuda()
    history = finetune(student, teacher.cuda(), sites_of(teacher), images, change(AMP, epochs=3))
    assert min(epoch.loss for epoch in history[1:]) < history[0].loss


def test_a_checkpoint_is_gone_on_from(teacher, images, tmp_path):
    start = replaced(teacher).cuda()
    whole, parted = copy.deepcopy(start), copy.deepcopy(start)
    teacher = teacher.cuda()
    first = finetune(whole, teacher, sites_of(teacher), images, AMP)
    with interrupted_after_one_epoch():
        finetune(copy.deepcopy(parted), teacher, sites_of(teacher), images, AMP, tmp_path / "c.pt")
    second = finetune(parted, teacher, sites_of(teacher), images, AMP, tmp_path / "c.pt")
    # Sums of a GPU may come in any order.
    assert [e.loss for e in second] == pytest.approx([e.loss for e in first], rel=1e-3)
    close(whole, parted, rtol=1e-2, atol=1e-3)


def test_evaluation(teacher, images):
    student = replaced(teacher)
    here = evaluate({"a": student}, teacher, images, 10)
    there = evaluate({"a": student.cuda()}, teacher.cuda(), images, 10)
    assert there["a"].cosine == pytest.approx(here["a"].cosine, abs=1e-4)
    assert abs(there["a"].top1.correct - here["a"].top1.correct) <= 2
