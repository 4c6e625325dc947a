"""idx files: read as their header says, or refused with what is wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from hwnorm.data.idx import read_fashion_mnist, read_idx
from hwnorm.errors import InputError

STEMS = [
    f"{split}-{kind}" for split in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
]


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_folder(folder: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for count, stem in zip((3, 3, 2, 2), STEMS, strict=True):
        shape = (count, 28, 28) if "images" in stem else (count,)
        arrays[stem] = np.random.default_rng(count).integers(0, 10, shape, np.uint8)
        (folder / stem).write_bytes(idx(arrays[stem]))
    return arrays


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 3)])
def test_arrays_read_back(tmp_path, suffix, shape):
    """Shape and values are the header's and the file's, plain or gzipped."""
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    np.testing.assert_array_equal(read_idx(path), array, strict=True)


WHOLE = idx(np.zeros((2, 3), np.uint8))
HUGE = bytes([0, 0, 8, 4]) + struct.pack(">4I", *[2**16] * 4)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a", None, "cannot be read"),
        ("a", b"", "begins with ; an idx file of bytes begins with 000008"),
        ("a", b"\x89PNG....", "begins with 89504e47"),
        ("a", b"\0\0\x0d\x01\0\0\0\0", "begins with 00000d01"),
        ("a", WHOLE[:6], "6 bytes; its header alone needs 12"),
        ("a", WHOLE[:-1], "5 bytes of data; its header promises 6"),
        ("a", WHOLE + b"\0", "7 bytes of data; its header promises 6"),
        ("a", HUGE, "0 bytes of data; its header promises 18446744073709551616"),
        ("a.gz", WHOLE, "cannot be read"),
        ("a.gz", gzip.compress(WHOLE, mtime=0)[:-9], "cannot be read"),
        ("a.gz", gzip.compress(WHOLE, mtime=0)[:10] + b"\xff" * 20, "cannot be read"),
    ],
)
def test_what_is_no_idx_file_is_named(tmp_path, name, content, complaint):
    """Missing, foreign, cut short or damaged: an InputError of one line with the path."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=complaint) as caught:
        read_idx(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_four_files_become_two_splits(tmp_path):
    """Images stay bytes, labels become int64, train comes first."""
    arrays = write_folder(tmp_path)
    (train, train_labels), (test, test_labels) = read_fashion_mnist(tmp_path)
    for got, stem in zip((train, train_labels, test, test_labels), STEMS, strict=True):
        np.testing.assert_array_equal(got, arrays[stem])
    assert train_labels.dtype == test_labels.dtype == np.int64


def test_a_missing_or_unequal_file_is_named(tmp_path):
    """The folder and what is missing or does not fit are in the message."""
    write_folder(tmp_path)
    (tmp_path / STEMS[1]).write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(InputError, match="do not belong together"):
        read_fashion_mnist(tmp_path)
    write_folder(tmp_path)
    (tmp_path / STEMS[2]).unlink()
    with pytest.raises(InputError, match=rf"no file {STEMS[2]}\[.gz\]"):
        read_fashion_mnist(tmp_path)
