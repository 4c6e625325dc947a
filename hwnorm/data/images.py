"""Open labelled images: the shipped subset, a folder with idx files, a folder tree, or an npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from hwnorm.builtin import model as builtin
from hwnorm.data.arrays import ArrayImages, check_labels
from hwnorm.data.config import input_config
from hwnorm.data.idx import read_fashion_mnist
from hwnorm.data.imageset import ImageSet, Split
from hwnorm.data.npz import read_npz
from hwnorm.data.tree import open_tree
from hwnorm.errors import InputError

__all__ = ["ImageSet", "Split", "load_images"]

_NUMBERED = "its labels are numbers already; the option names the classes of a folder tree"


def load_images(source: Path | None, split: Split, model: nn.Module, classes: Path | None = None) -> ImageSet:
    """Open the images of one split, prepared for ``model``.

    Args:
        source: None for the subset that is shipped (only for models of 1 x 28 x 28 input), a folder
            with the four idx files of Fashion-MNIST, a folder tree with one folder a class, or a ``.npz``
            file (:mod:`hwnorm.data.npz`).
        classes: of a folder tree the file that says which class has which index (:mod:`hwnorm.data.classes`).

    Raises:
        InputError: the folder is missing, empty or unreadable, or holds neither; or there is no
            shipped subset for this model; or what has numbers for labels is given names of classes.
    """
    config = input_config(model)
    if classes is not None and (source is None or source.suffix == ".npz"):
        raise InputError(f"option --classes: {source or 'the shipped images'}: {_NUMBERED}")
    if source is None:
        return _shipped(split, config)
    if source.suffix == ".npz":
        return read_npz(source, split, model, config)
    try:
        names = sorted(entry.name for entry in source.iterdir())
    except OSError as error:
        raise InputError(
            f"{source}: cannot be read as a folder ({error.strerror}); "
            "a folder with idx files or one folder a class, or a .npz file, was expected"
        ) from None
    if not names:
        raise InputError(f"{source}: is empty; a folder with idx files or one folder a class was expected")
    if any("-idx" in name for name in names):
        if classes is not None:
            raise InputError(f"option --classes: {source}: {_NUMBERED}")
        images, labels = read_fashion_mnist(source)[split == "test"]
        if not len(labels):
            raise InputError(f"{source}: the idx files hold no {split} images; at least one is needed")
        check_labels(f"{source}: {split} labels", labels, model)
        return ArrayImages(images, labels, config, f"{len(labels)} {split} images of {source}")
    return open_tree(source, split, model, config, classes)


def _shipped(split: Split, config: dict[str, Any]) -> ImageSet:
    if config["input_size"] != (1, 28, 28):
        size = "x".join(map(str, config["input_size"]))
        raise InputError(f"no images for a model of {size} input are shipped (only 1x28x28); give --data DIR")
    with np.load(builtin.IMAGES) as stored:
        images, labels = stored[f"{split}_images"], stored[f"{split}_labels"].astype(np.int64)
    return ArrayImages(
        images, labels, config, f"{len(labels)} shipped {split} images of Fashion-MNIST (stratified)"
    )
