"""The shipped subset is what its description says; idx folders open; bad folders are named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from train import HELD_OUT

from hwnorm.builtin import model as builtin
from hwnorm.data.images import load_images
from hwnorm.errors import InputError

FILES = {"train": "train", "test": "t10k"}


def write_idx_folder(folder: Path, count: int = 5) -> None:
    rng = np.random.default_rng(0)
    for prefix in FILES.values():
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = np.arange(count, dtype=np.uint8)
        for stem, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / stem).write_bytes(header + array.tobytes())


def test_shipped_subset_is_stratified_unique_and_clear_of_the_held_out_images():
    with np.load(builtin.IMAGES) as stored:
        for split in ("train", "test"):
            assert stored[f"{split}_images"].shape == (2000, 28, 28)
            assert np.bincount(stored[f"{split}_labels"]).tolist() == [200] * 10
            assert len(np.unique(stored[f"{split}_indices"])) == 2000
        assert stored["train_indices"].max() < 60_000 - HELD_OUT


def test_batches_are_normalized_and_cover_every_image_once(small_vit):
    images = load_images(None, "test", small_vit())
    batches = list(images.batches(300))
    assert [len(labels) for _, labels in batches] == [300] * 6 + [200]
    pixels = torch.cat([pixels for pixels, _ in batches])
    assert pixels.shape == (2000, 1, 28, 28)
    assert pixels.dtype == torch.float32
    assert abs(float(pixels.mean())) < 0.05
    assert abs(float(pixels.std()) - 1) < 0.05
    assert len(images.limited(7)) == 7


def test_fingerprint_tells_images_apart(small_vit):
    test, train = (load_images(None, split, small_vit()) for split in ("test", "train"))
    again = load_images(None, "test", small_vit())
    assert test.fingerprint == again.fingerprint
    assert len({test.fingerprint, train.fingerprint, test.limited(1999).fingerprint}) == 3


@pytest.mark.parametrize("split", ["train", "test"])
def test_idx_folder_opens_for_the_model_at_hand(tmp_path, small_vit, split):
    write_idx_folder(tmp_path)
    model = small_vit(img_size=32, patch_size=8, in_chans=3)
    images = load_images(tmp_path, split, model)
    ((pixels, labels),) = images.batches(10)
    assert pixels.shape == (5, 3, 32, 32)
    assert labels.tolist() == [0, 1, 2, 3, 4]


def test_no_images_are_shipped_for_other_models():
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(InputError, match=r"3x224x224.*--data"):
        load_images(None, "train", model)


def test_bad_folders_are_named(tmp_path, small_vit):
    model = small_vit()
    with pytest.raises(InputError, match="nowhere: cannot be read as a folder"):
        load_images(tmp_path / "nowhere", "train", model)
    with pytest.raises(InputError, match="is empty"):
        load_images(tmp_path, "train", model)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(InputError, match="its header alone needs 16"):
        load_images(tmp_path, "train", model)


def test_idx_files_without_images_are_refused(tmp_path, small_vit):
    write_idx_folder(tmp_path, count=0)
    with pytest.raises(InputError, match="hold no test images"):
        load_images(tmp_path, "test", small_vit())
