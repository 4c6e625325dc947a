"""Folder trees: lazily read, splits kept apart, and everything wrong is named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from hwnorm.data.images import load_images
from hwnorm.errors import InputError
from hwnorm.timm_compat import import_timm


def write_images(folder: Path, count: int, value: int) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((40, 50, 3), value + i, np.uint8)).save(folder / f"{i}.png")


@pytest.fixture
def rgb_model(small_vit):
    return small_vit(img_size=32, patch_size=8, in_chans=3, num_classes=3)


def test_split_folders_open_with_timms_transform(tmp_path, rgb_model):
    for split, count in (("train", 3), ("val", 2)):
        for label, name in enumerate(("cat", "dog", "emu")):
            write_images(tmp_path / split / name, count, 100 * label)
    train, test = (load_images(tmp_path, split, rgb_model) for split in ("train", "test"))
    assert (len(train), len(test)) == (9, 6)
    batches = list(test.batches(4))
    assert [tuple(pixels.shape) for pixels, _ in batches] == [(4, 3, 32, 32), (2, 3, 32, 32)]
    for pixels, labels in batches:
        # Later names are of brighter ones: each label travels with its own image.
        assert [int(p.mean() > -1) + int(p.mean() > 0.5) for p in pixels] == labels.tolist()
    assert train.limited(2).fingerprint != train.fingerprint


def test_bare_class_folders_give_disjoint_splits(tmp_path, small_vit):
    write_images(tmp_path / "a", 4, 0)
    write_images(tmp_path / "b", 3, 100)
    train, test = (load_images(tmp_path, split, small_vit(num_classes=2)) for split in ("train", "test"))
    assert len(train) + len(test) == 7
    seen = [{path for path, _ in images.files} for images in (train, test)]
    assert not seen[0] & seen[1]
    assert next(iter(train.batches(1)))[0].shape == (1, 1, 28, 28)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def test_a_corrupt_image_is_left_out_counted_and_named_once(tmp_path, small_vit, capsys):
    """Decoding is lazy: opening the tree says nothing, the first pass does, the second is silent."""
    write_images(tmp_path / "train" / "a", 3, 0)
    truncate(tmp_path / "train" / "a" / "1.png")
    images = load_images(tmp_path, "train", small_vit(img_size=32, patch_size=8, in_chans=3, num_classes=1))
    assert capsys.readouterr().err == ""
    batches = list(images.batches(2))
    assert sum(len(labels) for _, labels in batches) == 2
    assert all(len(pixels) == len(labels) for pixels, labels in batches)
    said = capsys.readouterr().err
    assert said.startswith("left out 1 of 3 images that cannot be decoded: ")
    assert "train/a/1.png" in said
    list(images.batches(2))
    assert capsys.readouterr().err == ""


def test_it_is_fatal_where_all_are_corrupt(tmp_path, small_vit):
    write_images(tmp_path / "train" / "a", 3, 0)
    for path in (tmp_path / "train" / "a").iterdir():
        truncate(path)
    model = small_vit(img_size=32, patch_size=8, in_chans=3, num_classes=1)
    with pytest.raises(InputError, match=r"\.png: cannot be decoded .* nor any other of 3 images"):
        list(load_images(tmp_path, "train", model).batches(2))


def test_bad_trees_are_named(tmp_path, rgb_model):
    (tmp_path / "notes.txt").write_text("no images")
    with pytest.raises(InputError, match="holds no folders"):
        load_images(tmp_path, "train", rgb_model)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="no train images in its 1 folders"):
        load_images(tmp_path, "train", rgb_model)
    for name in "bcde":
        write_images(tmp_path / name, 1, 0)
    with pytest.raises(InputError, match="4 class folders; the model tells 3"):
        load_images(tmp_path, "train", rgb_model)
    (tmp_path / "val").mkdir()
    with pytest.raises(InputError, match="has no train/"):
        load_images(tmp_path, "train", rgb_model)


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def only_image(folder: Path, model) -> np.ndarray:
    """The pixels of the one image below ``folder/a``, as they reach the model, (channels, height, width)."""
    ((pixels, _),) = load_images(folder, "train", model).batches(1)
    return pixels[0].numpy()


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_of_any_depth_is_the_same_grey(tmp_path, small_vit, suffix, kind, channels):
    """The white of 16 bits is that of 8: nothing is cut at 255."""
    model = small_vit(img_size=16, patch_size=8, in_chans=channels, num_classes=1)
    for folder, image in (("plain", RAMP), ("other", RAMP.astype(kind) * (257 if kind is np.uint16 else 1))):
        (tmp_path / folder / "train" / "a").mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / folder / "train" / "a" / f"1.{suffix}")
    plain, other = (only_image(tmp_path / folder, model) for folder in ("plain", "other"))
    np.testing.assert_array_equal(plain, other)
    assert "grey of 16 bits divided by 257" in load_images(tmp_path / "other", "train", model).preparation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_exif_says(tmp_path, small_vit, orientation):
    """As Pillow turns them, all eight ways."""
    model = small_vit(img_size=16, patch_size=8, in_chans=3, num_classes=1)
    image = Image.fromarray(RAMP).convert("RGB")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turned = {1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    turned |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
    way = turned[orientation]
    for folder in ("plain", "exif"):
        (tmp_path / folder / "train" / "a").mkdir(parents=True)
    upright = image if way is None else image.transpose(Image.Transpose[way])
    upright.save(tmp_path / "plain" / "train" / "a" / "1.png")
    image.save(tmp_path / "exif" / "train" / "a" / "1.png", exif=exif)
    plain, found = (only_image(tmp_path / folder, model) for folder in ("plain", "exif"))
    np.testing.assert_array_equal(plain, found)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_without_a_white_are_refused_by_name(tmp_path, rgb_model, kind, capsys):
    for name in "abc":
        write_images(tmp_path / name, 2, 0)
    Image.fromarray(RAMP.astype(kind) * 1000).save(tmp_path / "b" / "deep.tif")
    for split in ("train", "test"):
        list(load_images(tmp_path, split, rgb_model).batches(9))
    said = capsys.readouterr().err
    assert "b/deep.tif (holds " in said
    assert "white is not known" in said


def test_an_image_that_is_too_large_is_named_with_the_reason(tmp_path, small_vit, capsys, monkeypatch):
    write_images(tmp_path / "train" / "a", 1, 0)
    Image.new("L", (200, 200)).save(tmp_path / "train" / "a" / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15_000)
    list(load_images(tmp_path, "train", small_vit(num_classes=1)).batches(9))
    said = capsys.readouterr().err
    assert "large.png (Image size (40000 pixels) exceeds limit" in said


def labels_of(images) -> dict[str, set[int]]:
    """Name of a class folder -> the labels of its images."""
    found: dict[str, set[int]] = {}
    for path, label in images.files:
        found.setdefault(path.parent.name, set()).add(label)
    return found


@pytest.mark.parametrize(
    "names",
    [("apple", "Bear", "cat", "Dog"), ("class1", "class2", "class10", "class11"), ("2", "9", "10", "x")],
)
def test_labels_are_those_of_timms_reader(tmp_path, small_vit, names):
    """Whatever the case, digits by value; hidden and empty folders are no classes."""
    import_timm()
    from timm.data.readers.reader_image_folder import find_images_and_targets

    for split in ("train", "val"):
        for name in names:
            write_images(tmp_path / split / name, 1, 0)
    _, timms = find_images_and_targets(str(tmp_path / "val"))
    write_images(tmp_path / "train" / ".ipynb_checkpoints", 1, 0)
    (tmp_path / "val" / "aaa").mkdir()
    for split in ("train", "test"):
        images = load_images(tmp_path, split, small_vit(num_classes=4))
        assert labels_of(images) == {name: {index} for name, index in timms.items()}
        assert "timm's order" in images.numbered


def test_both_splits_have_one_numbering(tmp_path, rgb_model):
    """A class that one split lacks has its number there all the same; together they are counted."""
    for split, names in (("train", "abc"), ("val", "bc")):
        for name in names:
            write_images(tmp_path / split / name, 1, 0)
    assert labels_of(load_images(tmp_path, "test", rgb_model)) == {"b": {1}, "c": {2}}
    write_images(tmp_path / "val" / "d", 1, 0)
    for split in ("train", "test"):
        with pytest.raises(InputError, match="4 class folders; the model tells 3"):
            load_images(tmp_path, split, rgb_model)


def test_a_class_may_be_called_train(tmp_path, rgb_model):
    for name in ("bus", "car", "train"):
        write_images(tmp_path / name, 2, 0)
    found = [labels_of(load_images(tmp_path, split, rgb_model)) for split in ("train", "test")]
    assert found[0] | found[1] == {"bus": {0}, "car": {1}, "train": {2}}


@pytest.mark.parametrize(
    ("folders", "outputs", "why"),
    [
        (("a", "b", "c"), 1000, r"3 class folders \(a, b, c\); the model tells 1000"),
        (("0", "3", "7"), 10, "3 class folders"),
        (("Training", "Validation"), 2, "folders Training, Validation side by side"),
        (("one/cat", "one/dog", "two/cat", "two/dog"), 2, "whether their class is 'one' or 'cat'"),
        (("cat", "Cat"), 2, "'Cat' and 'cat': which comes first"),
    ],
)
def test_what_cannot_be_told_apart_is_asked_for(tmp_path, small_vit, folders, outputs, why):
    for name in folders:
        write_images(tmp_path / name, 2, 0)
    with pytest.raises(InputError, match=f"{why}.*--classes FILE tells"):
        load_images(tmp_path, "test", small_vit(num_classes=outputs))
    load_images(tmp_path, "test", small_vit(num_classes=0))  # of features labels mean nothing


def test_imagenets_folders_are_known_by_their_ids(tmp_path, small_vit):
    """Some classes of ImageNet, as smaller sets have them, have the labels of all 1,000."""
    for name in ("n01440764", "n03888257", "n15075141"):
        write_images(tmp_path / "val" / name, 1, 0)
    images = load_images(tmp_path, "test", small_vit(num_classes=1000))
    assert labels_of(images) == {"n01440764": {0}, "n03888257": {701}, "n15075141": {999}}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("names.txt", "emu\ncat\n dog \n"),
        ("names.json", '{"cat": 1, "dog": 2, "emu": 0}'),
        ("n.json", '["emu", "cat", "dog"]'),
        ("json_without_its_ending", '\n{"cat": 1, "dog": 2, "emu": 0}'),
    ],
)
def test_a_file_gives_any_other_order(tmp_path, rgb_model, file, text):
    for name in ("x/cat", "x/dog"):
        write_images(tmp_path / "d" / "val" / name, 2, 0)
    (tmp_path / file).write_text(text)
    images = load_images(tmp_path / "d", "test", rgb_model, tmp_path / file)
    assert labels_of(images) == {"cat": {1}, "dog": {2}}
    assert file in images.numbered


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("f.txt", "a\nb\n", "folder 'c': none of its names is in"),
        ("f.txt", "a\nb\na\n", "'a' stands on lines 1 and 3"),
        ("f.txt", "a\n\nb\nc", "line 2 is empty"),
        ("f.txt", "", "names no class"),
        ("f.json", '{"a": 0, "b": 1, "c": 3}', "has index 3; the model tells 3 classes apart, 0 to 2"),
        ("f.json", '{"a": 0, "b": -1}', "'b': -1; an index from 0"),
        ("f.json", '{"a": 0, "a": 1}', "'a' stands there twice"),
        ("f.json", "a", "no JSON"),
        ("f.json", "[1]", "an object of name to index"),
    ],
)
def test_a_bad_file_of_classes_is_refused(tmp_path, rgb_model, file, text, why):
    for name in "abc":
        write_images(tmp_path / "d" / name, 2, 0)
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=f"option --classes: .*{why}"):
        load_images(tmp_path / "d", "train", rgb_model, tmp_path / file)


def test_names_are_no_use_where_labels_are_numbers(tmp_path, small_vit):
    with pytest.raises(InputError, match="option --classes: the shipped images: its labels are numbers"):
        load_images(None, "train", small_vit(), tmp_path / "names.txt")


def test_what_is_no_file_to_read_is_left_out_and_named(tmp_path, rgb_model, capsys):
    """A broken link, a folder and a pipe that are called images, in the split that comes after the search."""
    for split in ("train", "val"):
        for name in "abc":
            write_images(tmp_path / split / name, 2, 0)
    at = tmp_path / "val" / "b"
    (at / "gone.png").symlink_to("nowhere.png")
    (at / "folder.png").mkdir()
    os.mkfifo(at / "pipe.jpg")
    (at / "linked.png").symlink_to("0.png")
    images = load_images(tmp_path, "test", rgb_model)
    assert len(images) == 7
    said = " ".join(capsys.readouterr().err.split())
    assert f"left out 3 files of {tmp_path / 'val'} that are called images and are no files to read" in said
    assert all(name in said for name in ("gone.png", "folder.png", "pipe.jpg"))
    (at / "0.png").unlink()  # after it was found
    assert images.fingerprint
    assert sum(len(labels) for _, labels in images.batches(4)) == 5
    assert "linked.png ([Errno 2] No such file" in capsys.readouterr().err
