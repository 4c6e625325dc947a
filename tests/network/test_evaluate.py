"""Accuracy counts what is right, and its interval is Wilson's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.data.images import load_images
from hwnorm.network.evaluate import Accuracy, evaluate, top1
from hwnorm.network.paired import PairedAccuracy, PairedCosine


def test_interval_is_wilsons():
    # Textbook value: 8 of 10 gives 49.0 to 94.3 %.
    low, high = Accuracy(8, 10).interval
    assert low == pytest.approx(49.016, abs=1e-3)
    assert high == pytest.approx(94.332, abs=1e-3)
    assert Accuracy(10, 10).interval[1] == pytest.approx(100.0)
    assert Accuracy(0, 10).interval[0] == pytest.approx(0.0, abs=1e-9)


class _AlwaysThree(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.eye(10)[3].expand(len(x), 10)


def test_top1_counts_every_image_once(small_vit):
    images = load_images(None, "test", small_vit())
    accuracy = top1(_AlwaysThree(), images, batch=300)
    assert accuracy == Accuracy(200, 2000)
    assert str(accuracy).startswith("10.00 % (")


class _Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), -1)


def test_scores_count_the_best_and_the_best_five(small_vit):
    teacher = small_vit()
    images = load_images(None, "test", teacher).limited(100)
    labels = torch.from_numpy(images.labels)
    ranks = _Constant([float(-i) for i in range(10)])
    scores = evaluate({"teacher": teacher, "ranks": ranks}, teacher, images, 10, batch=33)
    assert scores["ranks"].top1 == Accuracy(int((labels == 0).sum()), 100)
    assert scores["ranks"].top5 == Accuracy(int((labels < 5).sum()), 100)
    assert scores["teacher"].top1 == top1(teacher, images)
    assert scores["teacher"].cosine == pytest.approx(1.0, abs=1e-6)
    assert scores["ranks"].cosine < 0.9
    paired = scores["ranks"].paired
    assert isinstance(paired, PairedAccuracy)
    difference = scores["ranks"].top1.percent - scores["teacher"].top1.percent
    assert paired.difference == pytest.approx(difference)
    assert paired.both + paired.lost == scores["teacher"].top1.correct
    assert scores["teacher"].paired is None


def test_a_network_under_two_names_runs_once(small_vit):
    teacher = small_vit()
    images = load_images(None, "test", teacher).limited(20)
    student = small_vit()
    calls = []
    student.register_forward_hook(lambda *_: calls.append(1))
    teacher.register_forward_hook(lambda *_: calls.append(2))
    scores = evaluate({"teacher": teacher, "a": student, "b": student}, teacher, images, 10, batch=10)
    assert calls.count(1) == calls.count(2) == 2
    assert scores["a"] == scores["b"]


def test_without_classes_there_is_the_cosine_alone(small_vit):
    """Its interval is the normal one of the mean; turned features have the cosine of the angle."""
    teacher = small_vit(num_classes=0)
    images = load_images(None, "test", teacher).limited(50)

    class Turned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = teacher(x)
            other = torch.stack([-y[:, 1::2], y[:, ::2]], -1).flatten(1)
            return 0.6 * y + 0.8 * other

    found = evaluate({"": Turned()}, teacher, images, 0)[""]
    assert found.top1 is found.top5 is None
    assert isinstance(found.paired, PairedCosine)
    assert found.paired.difference == pytest.approx(-0.4, abs=1e-5)
    assert found.cosine == pytest.approx(0.6, abs=1e-5)
    low, high = found.cosine_interval
    assert low <= found.cosine <= high
    assert high - low < 1e-4
    assert found.to_json()["top1"] is None
