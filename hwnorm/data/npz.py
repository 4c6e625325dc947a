"""Images in a NumPy archive, as the shipped subset is one."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from hwnorm.data.arrays import ArrayImages, check_labels
from hwnorm.data.imageset import Split
from hwnorm.errors import InputError


def read_npz(path: Path, split: Split, model: nn.Module, config: dict[str, Any]) -> ArrayImages:
    """Open one split of a ``.npz`` file with ``train_images``, ``train_labels`` and those of test.

    Images are uint8, (N, height, width) or (N, height, width, 1 or 3); labels are integers, (N,).

    Raises:
        InputError: it cannot be read, an array is missing or of another shape or type, or a label is of
            no class of the model.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name.startswith(f"{split}_")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as a NumPy archive ({error})") from None
    for name in (f"{split}_images", f"{split}_labels"):
        if name not in arrays:
            raise InputError(f"{path}: no array {name!r}; images and labels of train and test are needed")
    images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    grey = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))
    if images.dtype != np.uint8 or not grey or not len(images):
        raise InputError(
            f"{path}: {split}_images is {images.dtype} {images.shape}; "
            "uint8 (N, height, width) or (N, height, width, 3) was expected"
        )
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: {split}_labels is {labels.dtype} {labels.shape}; {len(images)} integers were expected"
        )
    check_labels(f"{path}: {split}_labels", labels, model)
    return ArrayImages(images, labels.astype(np.int64), config, f"{len(labels)} {split} images of {path}")
