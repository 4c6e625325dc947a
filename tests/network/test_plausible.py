"""A network that is right on hardly more than chance, or with its classes reordered, is told of."""

from __future__ import annotations

import pytest
import torch

from hwnorm.network.plausible import Answers, hardly_right


def doubt(labels: torch.Tensor, answers: torch.Tensor, classes: int) -> str | None:
    found = Answers(classes)
    for some, given in zip(labels.split(7), answers.split(7), strict=True):
        found.see(torch.nn.functional.one_hot(given, classes).float(), some)
    return found.doubt("the images")


def test_a_good_network_is_believed():
    labels = torch.arange(60) % 10
    answers = labels.clone()
    answers[::9] = 3
    assert doubt(labels, answers, 10) is None


def test_classes_in_another_order_are_seen():
    """Right on 31 %, for some classes keep their place: were they reordered it would be all."""
    labels = torch.arange(130) % 13
    order = torch.tensor([0, 1, 2, 3, 10, 11, 12, 4, 5, 6, 7, 8, 9])
    said = doubt(labels, order[labels], 13)
    assert said is not None
    assert (
        "right on 30.77 % of the images, but would be on 100.00 % with its classes in another order" in said
    )
    assert "--classes" in said


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_chance_is_seen(classes):
    generator = torch.Generator().manual_seed(0)
    labels, answers = torch.randint(classes, (2, 2000), generator=generator)
    said = doubt(labels, answers, classes)
    assert said is not None
    assert "guessing on" in said
    assert all(cause in said for cause in ("labels", "mean", "weights"))


def test_always_the_most_frequent_class_is_a_guess():
    labels = (torch.arange(100) % 10 == 0).long()
    said = doubt(labels, torch.zeros(100, dtype=torch.int64), 2)
    assert said is not None
    assert "right on 90.00 % of the images, and guessing on 90.00 %" in said


def test_a_single_class_under_a_large_head():
    labels = torch.zeros(20, dtype=torch.int64)
    assert doubt(labels, labels, 1000) is None
    assert doubt(labels, labels + 1, 1000) is not None


def test_a_share_alone():
    assert hardly_right(0.3, 0.1, "images") is None
    assert hardly_right(0.12, 0.1, "images") is not None
    assert hardly_right(1.0, 1.0, "images") is None
