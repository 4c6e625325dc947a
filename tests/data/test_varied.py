"""Varied images: four batches for one, and nothing of them is lost."""

from __future__ import annotations

import torch

from hwnorm.builtin.model import build
from hwnorm.data.images import load_images
from hwnorm.data.varied import VariedImages


def test_every_image_comes_four_times_with_its_label():
    """The first of four batches is the original, the second its mirror image, and labels stay."""
    plain = load_images(None, "train", build()).limited(6)
    varied = VariedImages(plain)
    assert len(varied) == 24
    batches = list(varied.batches(3))
    assert sum(len(labels) for _, labels in batches) == 24
    (images, labels), *_ = plain.batches(3)
    torch.testing.assert_close(batches[0][0], images)
    torch.testing.assert_close(batches[1][0], images.flip(-1))
    # A shift moves pixels and changes none.
    for shifted, _ in batches[2:4]:
        assert not torch.equal(shifted, images)
        torch.testing.assert_close(shifted.flatten(1).sort().values, images.flatten(1).sort().values)
    assert all(torch.equal(found, labels) for _, found in batches[:4])


def test_varied_images_are_another_set():
    """Fingerprint and description tell them from the originals; a limit still limits."""
    plain = load_images(None, "train", build()).limited(10)
    varied = VariedImages(plain)
    assert varied.fingerprint != plain.fingerprint
    assert "mirrored" in varied.description
    assert len(varied.limited(8)) == 8
