"""A folder tree with one folder a class, read lazily: memory does not grow with the folder."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor, nn

from hwnorm.data.classes import Names, number
from hwnorm.data.imageset import ImageSet, Split
from hwnorm.errors import InputError
from hwnorm.progress import err
from hwnorm.timm_compat import import_timm

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
#: What PIL raises for a file that is no whole image.
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_MOST_NAMED = 5
#: Of grey of 16 bits the largest value is as white as 255 is of 8.
_DEEP = 65535 // 255
_DECODED = f"turned as EXIF says, grey of 16 bits divided by {_DEEP}"
_SPLITS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val")}


class TreeImages(ImageSet):
    """Image files with labels, decoded when a batch asks for them, by timm's evaluation transform.

    Files that cannot be decoded are left out of their batch; at the end of the first pass that meets them
    they are counted and named on standard error.

    Args:
        files: (path, label) pairs in the order in which they are handed out.
        config: the model's data config (``hwnorm.data.config.input_config``).
        numbered: how their labels were found, for people.
    """

    def __init__(
        self, files: list[tuple[Path, int]], config: dict[str, Any], description: str, numbered: str
    ) -> None:
        self.files, self.config, self.description, self.numbered = files, config, description, numbered
        self._broken: dict[Path, str] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def subset(self, indices: np.ndarray) -> TreeImages:
        files = [self.files[i] for i in indices]
        return TreeImages(files, self.config, self.description, self.numbered)

    @property
    def preparation(self) -> str:
        return ", ".join([_DECODED, *(str(step) for step in self._transform().transforms)])

    def _transform(self) -> Any:
        import_timm()
        from timm.data import create_transform

        return create_transform(**self.config, is_training=False)

    @property
    def fingerprint(self) -> str:
        sha = hashlib.sha256()
        for path, label in self.files:
            try:
                content = path.read_bytes()
            except OSError:  # left out, and named, by the pass that meets it
                content = b""
            sha.update(hashlib.sha256(content).digest() + label.to_bytes(4, "little"))
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
            told = [f"{path} ({why})" for path, why in broken.items()]
            _say_left_out(told, f"of {len(self)} images that cannot be decoded")
        self._broken = broken


def _decode(path: Path, mode: str) -> Image.Image:
    """An image of 8 bits a channel, as ``mode`` has it.

    Raises:
        ValueError: it has values that nothing says the white of; the message is for people.
        One of ``_UNREADABLE``: it is no whole image.
    """
    with warnings.catch_warnings():
        # Of what is merely large; what is too large is an error, with or without it.
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image)
            # Pillow before 11.3 reads PNG files of 16 bits as numbers of 32.
            if turned.mode.startswith("I;16") or (turned.mode == "I" and image.format == "PNG"):
                values = np.asarray(turned).astype(np.float64) / _DEEP
                turned = Image.fromarray(np.rint(values).astype(np.uint8))
            elif turned.mode in ("I", "F"):
                kind = "floating-point numbers" if turned.mode == "F" else "integers of 32 bits"
                raise ValueError(f"holds {kind}, of which white is not known; 8 or 16 bits were expected")
            return turned.convert(mode)


def open_tree(
    source: Path, split: Split, model: nn.Module, config: dict[str, Any], classes: Path | None = None
) -> TreeImages:
    """Open one split of a tree with one folder a class, in an order shuffled with seed 0.

    ``source`` holds ``train/`` and ``test/`` or ``val/``, each with the class folders, or the class
    folders themselves: then every other image of the shuffled order is for training, the rest for
    testing. Folders that are hidden or hold no images are no classes. All splits have one numbering
    (:func:`hwnorm.data.classes.number`).

    Args:
        classes: file that says which class has which index, where the folders' names do not.

    Raises:
        InputError: there are no class folders, no images in them, no folder for the split, or which of the
            model's classes a folder is cannot be told.
    """
    roots = _roots(source)
    if split not in roots:
        wanted = " or ".join(f"{name}/" for name in _SPLITS[split])
        others = ", ".join(sorted(f"{entry.name}/" for entry in source.iterdir() if entry.is_dir()))
        raise InputError(f"{source}: has no {wanted} for the {split} images; found {others}")
    scanned = {root: _scan(root) for root in dict.fromkeys(roots.values())}
    root = roots[split]
    found = scanned[root]
    if not found:
        raise InputError(f"{root}: holds no folders; one folder a class with images in it was expected")
    folders = {names for tree in scanned.values() for names, files in tree.items() if files}
    if not any(found.values()):
        raise InputError(
            f"{root}: no {split} images in its {len({names[0] for names in found})} folders; "
            ".png, .jpg or the like were expected"
        )
    outputs = int(getattr(model, "num_classes", 0) or 0)
    place = root if len(scanned) == 1 else source
    numbering = number(place, folders, outputs, classes, _imagenet(model))
    files = [(path, numbering.labels[names]) for names, paths in sorted(found.items()) for path in paths]
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    if len(roots) > len(scanned):
        files = files[split == "test" :: 2]
    if not files:
        raise InputError(f"{root}: one image alone; the {split} images need another")
    told = len({label for _, label in files})
    return TreeImages(
        files, config, f"{len(files)} {split} images of {root} in {told} classes", numbering.told
    )


def _roots(source: Path) -> dict[Split, Path]:
    """The folder that a split's class folders lie in; the tree itself where it has no splits."""
    found: dict[Split, Path] = {}
    for split, names in _SPLITS.items():
        there = [source / name for name in names if (source / name).is_dir()]
        # A class may be called so: images lie in it, and no folders. Of ImageNet's test/ nobody has labels.
        there.sort(key=_holds_images_alone)
        if there and not _holds_images_alone(there[0]):
            found[split] = there[0]
    return found or dict.fromkeys(_SPLITS, source)


def _holds_images_alone(folder: Path) -> bool:
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return bool(entries) and not any(entry.is_dir() for entry in entries)


def _scan(root: Path) -> dict[Names, list[Path]]:
    """Names of folders below ``root`` -> the images in each, by name; links to folders are followed.

    Raises:
        InputError: a folder cannot be read, or is a link to one that holds it.
    """
    found: dict[Names, list[Path]] = {}
    unfit: list[Path] = []

    def visit(folder: Path, names: Names, above: tuple[Path, ...]) -> None:
        resolved = folder.resolve()
        if resolved in above:
            raise InputError(f"{folder}: is a link to a folder that holds it; an ordinary tree was expected")
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be read ({error.strerror}); a readable folder was expected"
            ) from None
        if names:
            images = [
                entry
                for entry in entries
                if Path(entry.name).suffix.lower() in SUFFIXES and not entry.name.startswith(".")
            ]
            found[names] = [Path(entry.path) for entry in images if _readable(entry)]
            unfit.extend(Path(entry.path) for entry in images if not _readable(entry))
        for entry in entries:
            if entry.is_dir() and not entry.name.startswith("."):
                visit(Path(entry.path), (*names, entry.name), (*above, resolved))

    visit(root, (), ())
    if unfit:
        _say_left_out(unfit, f"files of {root} that are called images and are no files to read")
    return found


def _readable(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one, that this process may read."""
    return entry.is_file() and os.access(entry.path, os.R_OK)


def _say_left_out(what: Collection[object], why: str) -> None:
    names = ", ".join(map(str, list(what)[:_MOST_NAMED]))
    more = f" and {len(what) - _MOST_NAMED} more" if len(what) > _MOST_NAMED else ""
    err.print(f"left out {len(what)} {why}: {names}{more}", soft_wrap=True)


def _imagenet(model: nn.Module) -> str | None:
    """The ImageNet with as many classes as the model tells apart, by timm's name."""
    import_timm()
    from timm.data import infer_imagenet_subset

    subset: str | None = infer_imagenet_subset(model)
    return subset
