"""Mirrored images: two batches for one, and nothing of them is lost."""

from __future__ import annotations

import torch

from hwnorm.builtin.model import build
from hwnorm.data.images import load_images
from hwnorm.data.mirrored import MirroredImages


def test_every_image_comes_twice_with_its_label():
    """The first of two batches is the original, the second its mirror image, and labels stay."""
    plain = load_images(None, "train", build()).limited(6)
    doubled = MirroredImages(plain)
    assert len(doubled) == 12
    batches = list(doubled.batches(3))
    assert len(batches) == 4
    for at, (images, labels) in enumerate(plain.batches(3)):
        (first, its_labels), (second, same_labels) = batches[2 * at : 2 * at + 2]
        torch.testing.assert_close(first, images)
        torch.testing.assert_close(second, images.flip(-1))
        assert torch.equal(its_labels, labels)
        assert torch.equal(same_labels, labels)


def test_mirrored_images_are_another_set():
    """Fingerprint and description tell them from the originals; a limit still limits."""
    plain = load_images(None, "train", build()).limited(10)
    doubled = MirroredImages(plain)
    assert doubled.fingerprint != plain.fingerprint
    assert "mirrored" in doubled.description
    assert len(doubled.limited(8)) == 8
