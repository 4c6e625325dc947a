"""Reader of the idx files in which Fashion-MNIST is published (plain or gzipped)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from hwnorm.errors import InputError

_UBYTE = 0x08


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array in an idx file; its shape is what the header says.

    Raises:
        InputError: the file cannot be read, is not an idx file of unsigned bytes, or is cut short.
    """
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); an idx file was expected") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UBYTE:
        raise InputError(f"{path}: begins with {raw[:4].hex()}; an idx file of bytes begins with 000008")
    dimensions = raw[3]
    header = 4 + 4 * dimensions
    if len(raw) < header:
        raise InputError(f"{path}: {len(raw)} bytes; its header alone needs {header}")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    size = math.prod(shape)
    if len(raw) - header != size:
        raise InputError(f"{path}: {len(raw) - header} bytes of data; its header promises {size}")
    return np.frombuffer(raw, np.uint8, size, header).reshape(shape)


def _find(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.gz", stem):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder}: no file {stem}[.gz]; the four idx files of Fashion-MNIST are needed")


Split = tuple[np.ndarray, np.ndarray]


def read_fashion_mnist(folder: Path) -> tuple[Split, Split]:
    """Return ((train images, labels), (test images, labels)): uint8 (N, 28, 28), int64 (N,)."""

    def split(prefix: str) -> Split:
        images = read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"))
        labels = read_idx(_find(folder, f"{prefix}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise InputError(
                f"{folder}: {prefix} images {images.shape} and labels {labels.shape} do not belong together"
            )
        return images, labels.astype(np.int64)

    return split("train"), split("t10k")
