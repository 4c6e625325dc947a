"""Closed-form re-alignment brings a network with replaced norms back to its teacher."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwnorm.builtin import model as builtin
from hwnorm.capture.hooks import capture
from hwnorm.data.images import ImageSet, load_images
from hwnorm.network.evaluate import top1
from hwnorm.network.models import load_model
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import replace_norms
from hwnorm.network.residual import find_projections
from hwnorm.profile import LayerProfile
from hwnorm.realign.closed_form import realign


class ClipAffine(nn.Module):
    """a clip(x, low, high) + b, fitted to a profile by least squares over a grid of clip points."""

    def __init__(self, profile: LayerProfile) -> None:
        super().__init__()
        weight = np.sqrt(profile.weight)
        points = np.quantile(profile.x, [0.0, 0.01, 0.03, 0.1, 0.9, 0.97, 0.99, 1.0])
        best = np.inf
        for low in points[:4]:
            for high in points[4:]:
                phi = np.stack([np.clip(profile.x, low, high), np.ones_like(profile.x)], 1)
                affine = np.linalg.lstsq(phi * weight[:, None], profile.y * weight, rcond=None)[0]
                error = profile.mse(phi @ affine)
                if error < best:
                    best = error
                    self.low, self.high, self.gain, self.offset = map(float, (low, high, *affine))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * x.clamp(self.low, self.high) + self.offset


def fitted(model: nn.Module, images: ImageSet) -> dict[str, nn.Module]:
    profiles = capture(model, images, find_norms(model))
    return {name: ClipAffine(profile) for name, profile in profiles.items()}


def distance(model: nn.Module, teacher: nn.Module, images: ImageSet) -> float:
    """Relative squared distance of the logits."""
    with torch.no_grad():
        pairs = [(model(pixels), teacher(pixels)) for pixels, _ in images.batches(100)]
    return float(sum((a - b).square().sum() for a, b in pairs) / sum(b.var() * b.numel() for _, b in pairs))


@pytest.mark.parametrize("changes", [{}, {"init_values": 0.1}, {"qkv_bias": False}], ids=str)
def test_logits_on_unseen_images_come_back(small_vit, changes):
    teacher = small_vit(depth=3, **changes)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    fit, unseen = (load_images(None, split, teacher).limited(200) for split in ("train", "test"))
    functions = fitted(teacher, fit)
    student, _ = realign(teacher, functions, fit, batch=50)
    plain = distance(replace_norms(teacher, functions), teacher, unseen)
    assert distance(student, teacher, unseen) < 0.3 * plain
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_functions_that_are_exact_leave_the_network_as_it_was(small_vit):
    teacher = small_vit()
    images = load_images(None, "train", teacher).limited(50)
    exact = {
        site.name: nn.LayerNorm(site.channels, eps=site.eps, elementwise_affine=False)
        for site in find_norms(teacher)
    }
    assert distance(realign(teacher, exact, images)[0], teacher, images) < 1e-8


def test_some_norms_can_stay(small_vit):
    teacher = small_vit(num_classes=0)
    images = load_images(None, "train", teacher).limited(100)
    functions = fitted(teacher, images)
    del functions["norm"]
    student, _ = realign(teacher, functions, images)
    assert isinstance(student.norm, nn.LayerNorm)
    assert distance(student, teacher, images) < distance(replace_norms(teacher, functions), teacher, images)


def test_output_projections_are_found_with_their_layer_scale(small_vit):
    model = small_vit(init_values=0.1)
    found = find_projections(model, find_norms(model))
    assert [(p.name, p.after) for p in found.values()] == [
        ("blocks.0.attn.proj", "blocks.0.norm2"),
        ("blocks.0.mlp.fc2", "blocks.1.norm1"),
        ("blocks.1.attn.proj", "blocks.1.norm2"),
        ("blocks.1.mlp.fc2", "norm"),
    ]
    for projection in found.values():
        torch.testing.assert_close(projection.scale, torch.full((32,), 0.1), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_built_in_model_comes_back_with_few_images():
    """600 images and plain clips: less than the main job has, which has to come closer."""
    teacher = load_model(builtin.NAME, None)
    fit, unseen = load_images(None, "train", teacher).limited(600), load_images(None, "test", teacher)
    student, _ = realign(teacher, fitted(teacher, fit), fit)
    assert top1(student, unseen).percent > top1(teacher, unseen).percent - 2.5
