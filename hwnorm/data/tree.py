"""A folder tree with one folder a class, read lazily: memory does not grow with the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

from hwnorm.data.imageset import ImageSet, Split
from hwnorm.errors import InputError
from hwnorm.progress import err
from hwnorm.timm_compat import import_timm

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
#: What PIL raises for a file that is no whole image.
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_MOST_NAMED = 5
_SPLITS = {"train": ("train",), "test": ("test", "val")}


class TreeImages(ImageSet):
    """Image files with labels, decoded when a batch asks for them, by timm's evaluation transform.

    Files that cannot be decoded are left out of their batch; at the end of the first pass that meets them
    they are counted and named on standard error.

    Args:
        files: (path, label) pairs in the order in which they are handed out.
        config: the model's data config (``hwnorm.data.config.input_config``).
    """

    def __init__(self, files: list[tuple[Path, int]], config: dict[str, Any], description: str) -> None:
        self.files, self.config, self.description = files, config, description
        self._broken: dict[Path, str] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def subset(self, indices: np.ndarray) -> TreeImages:
        return TreeImages([self.files[i] for i in indices], self.config, self.description)

    @property
    def preparation(self) -> str:
        return ", ".join(str(step) for step in self._transform().transforms)

    def _transform(self) -> Any:
        import_timm()
        from timm.data import create_transform

        return create_transform(**self.config, is_training=False)

    @property
    def fingerprint(self) -> str:
        sha = hashlib.sha256()
        for path, label in self.files:
            sha.update(hashlib.sha256(path.read_bytes()).digest() + label.to_bytes(4, "little"))
        return sha.hexdigest()[:16]

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        transform = self._transform()
        mode = "L" if self.config["input_size"][0] == 1 else "RGB"
        broken: dict[Path, str] = {}
        for start in range(0, len(self), size):
            images, labels = [], []
            for path, label in self.files[start : start + size]:
                try:
                    images.append(transform(_decode(path, mode)))
                    labels.append(label)
                except _UNREADABLE as error:
                    broken[path] = (str(error).strip() or type(error).__name__).splitlines()[0]
            if images:
                yield torch.stack(images), torch.tensor(labels)
        self._tell(broken)

    def _tell(self, broken: dict[Path, str]) -> None:
        if len(broken) == len(self):
            path, reason = next(iter(broken.items()))
            raise InputError(f"{path}: cannot be decoded ({reason}), nor any other of {len(self)} images")
        if broken and self._broken is None:
            names = ", ".join(map(str, list(broken)[:_MOST_NAMED]))
            more = f" and {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
            err.print(
                f"left out {len(broken)} of {len(self)} images that cannot be decoded: {names}{more}",
                soft_wrap=True,
                markup=False,
            )
        self._broken = broken


def _decode(path: Path, mode: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert(mode)


def open_tree(source: Path, split: Split, model: nn.Module, config: dict[str, Any]) -> TreeImages:
    """Open one split of a tree with one folder a class, in an order shuffled with seed 0.

    ``source`` holds ``train/`` and ``test/`` or ``val/``, each with the class folders, or the class
    folders themselves: then every other image of the shuffled order is for training, the rest for
    testing. Labels count the class folders in alphabetical order.

    Raises:
        InputError: there are no class folders, no images in them, no folder for the split, or more
            classes than the model tells apart.
    """
    named = any((source / name).is_dir() for names in _SPLITS.values() for name in names)
    root = source
    if named:
        found = [source / name for name in _SPLITS[split] if (source / name).is_dir()]
        if not found:
            wanted = " or ".join(f"{name}/" for name in _SPLITS[split])
            raise InputError(f"{source}: has no {wanted} for the {split} images; found the other split only")
        root = found[0]
    try:
        classes = sorted(path for path in root.iterdir() if path.is_dir())
    except OSError as error:
        raise InputError(
            f"{root}: cannot be read ({error.strerror}); a readable folder was expected"
        ) from None
    if not classes:
        raise InputError(f"{root}: holds no folders; one folder a class with images in it was expected")
    outputs = getattr(model, "num_classes", 0)
    if outputs and len(classes) > outputs:
        raise InputError(f"{root}: {len(classes)} class folders; the model tells {outputs} classes apart")
    files = [
        (path, label)
        for label, folder in enumerate(classes)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    if not named:
        files = files[split == "test" :: 2]
    if not files:
        raise InputError(
            f"{root}: no {split} images in its {len(classes)} folders; .png, .jpg or the like were expected"
        )
    return TreeImages(files, config, f"{len(files)} {split} images of {root} in {len(classes)} classes")
