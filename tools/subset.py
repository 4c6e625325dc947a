"""Choose the images that are shipped: ``python tools/subset.py --data DIR``.

200 images a class from each of Fashion-MNIST's official splits, drawn with one seed and shuffled.
The training images that ``train.py`` holds out are left alone, so that they stay unseen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from train import HELD_OUT

from hwnorm.builtin import model as builtin
from hwnorm.data.idx import read_fashion_mnist
from hwnorm.files import write_whole

SEED = 0
PER_CLASS = 200


def stratified(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Indices (int64) of ``per_class`` images of every class, in random order."""
    picked = [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)]
    return rng.permutation(np.concatenate(picked))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Choose the Fashion-MNIST images that are shipped.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four idx files")
    args = parser.parse_args()
    train, test = read_fashion_mnist(args.data)
    rng = np.random.default_rng(SEED)
    arrays: dict[str, np.ndarray] = {}
    for split, images, labels in (("train", *train), ("test", *test)):
        eligible = labels[:-HELD_OUT] if split == "train" else labels
        indices = stratified(eligible, PER_CLASS, rng)
        arrays[f"{split}_indices"] = indices.astype(np.int32)
        arrays[f"{split}_images"] = images[indices]
        arrays[f"{split}_labels"] = labels[indices].astype(np.uint8)
    write_whole(builtin.IMAGES, lambda path: np.savez_compressed(path, **arrays))  # type: ignore[arg-type]
    counts = ", ".join(f"{len(arrays[f'{split}_labels'])} {split} images" for split in ("train", "test"))
    print(f"wrote {builtin.IMAGES}: {counts}")


if __name__ == "__main__":
    main()
