"""Folder trees: lazily read, splits kept apart, and everything wrong is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnorm.data.images import load_images
from hwnorm.errors import InputError


def write_images(folder: Path, count: int, value: int) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((40, 50, 3), value + i, np.uint8)).save(folder / f"{i}.png")


@pytest.fixture
def rgb_model(small_vit):
    return small_vit(img_size=32, patch_size=8, in_chans=3, num_classes=3)


def test_split_folders_open_with_timms_transform(tmp_path, rgb_model):
    for split, count in (("train", 3), ("val", 2)):
        for label, name in enumerate(("cat", "dog")):
            write_images(tmp_path / split / name, count, 100 * label)
    train, test = (load_images(tmp_path, split, rgb_model) for split in ("train", "test"))
    assert (len(train), len(test)) == (6, 4)
    batches = list(test.batches(3))
    assert [tuple(pixels.shape) for pixels, _ in batches] == [(3, 3, 32, 32), (1, 3, 32, 32)]
    for pixels, labels in batches:
        # Dogs are the brighter ones: each label travels with its own image.
        assert [bool(p.mean() > -1) for p in pixels] == [bool(label) for label in labels]
    assert train.limited(2).fingerprint != train.fingerprint


def test_bare_class_folders_give_disjoint_splits(tmp_path, small_vit):
    write_images(tmp_path / "a", 4, 0)
    write_images(tmp_path / "b", 3, 100)
    train, test = (load_images(tmp_path, split, small_vit()) for split in ("train", "test"))
    assert len(train) + len(test) == 7
    seen = [{path for path, _ in images.files} for images in (train, test)]
    assert not seen[0] & seen[1]
    assert next(iter(train.batches(1)))[0].shape == (1, 1, 28, 28)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def test_a_corrupt_image_is_left_out_counted_and_named_once(tmp_path, rgb_model, capsys):
    """Decoding is lazy: opening the tree says nothing, the first pass does, the second is silent."""
    write_images(tmp_path / "train" / "a", 3, 0)
    truncate(tmp_path / "train" / "a" / "1.png")
    images = load_images(tmp_path, "train", rgb_model)
    assert capsys.readouterr().err == ""
    batches = list(images.batches(2))
    assert sum(len(labels) for _, labels in batches) == 2
    assert all(len(pixels) == len(labels) for pixels, labels in batches)
    said = capsys.readouterr().err
    assert said.startswith("left out 1 of 3 images that cannot be decoded: ")
    assert "train/a/1.png" in said
    list(images.batches(2))
    assert capsys.readouterr().err == ""


def test_it_is_fatal_where_all_are_corrupt(tmp_path, rgb_model):
    write_images(tmp_path / "train" / "a", 3, 0)
    for path in (tmp_path / "train" / "a").iterdir():
        truncate(path)
    with pytest.raises(InputError, match=r"\.png: cannot be decoded .* nor any other of 3 images"):
        list(load_images(tmp_path, "train", rgb_model).batches(2))


def test_bad_trees_are_named(tmp_path, rgb_model):
    (tmp_path / "notes.txt").write_text("no images")
    with pytest.raises(InputError, match="holds no folders"):
        load_images(tmp_path, "train", rgb_model)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="no train images in its 1 folders"):
        load_images(tmp_path, "train", rgb_model)
    for name in "bcd":
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="4 class folders; the model tells 3"):
        load_images(tmp_path, "train", rgb_model)
    (tmp_path / "val").mkdir()
    with pytest.raises(InputError, match="has no train/"):
        load_images(tmp_path, "train", rgb_model)
