"""One small study that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwnorm.builtin import model as builtin
from hwnorm.cli import app

#: Training and test images that the study may see.
TRAIN, TEST = 100, 60
SPACE = """
[space]
width = [72, 96]
depth = [5, 6]
heads = [2, 3]
mlp = [1, 3]
ratio8 = [0.0, 0.5]

[search]
methods = ["nsga2", "random"]
subnets = 8
population = 4
fit = 30
held = 20
measured = 2

[engine]
budget = "dsp=40"

[run]
images = 40
population = 8
generations = 0
input_bits = 12
data = "images.npz"
"""


def command(*arguments: object) -> tuple[int, str]:
    """Exit status, and all that was printed on one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="session")
def write_space(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write the study's file into a folder, with parts of it replaced."""
    images = tmp_path_factory.mktemp("images") / "images.npz"
    with np.load(builtin.IMAGES) as stored:
        parts = {"train": TRAIN, "test": TEST}
        arrays = {
            f"{split}_{kind}": stored[f"{split}_{kind}"][:count]
            for split, count in parts.items()
            for kind in ("images", "labels")
        }
    np.savez(images, **arrays)

    def write(folder: Path, *changes: tuple[str, str], name: str = "space.toml") -> Path:
        text = SPACE.replace("images.npz", str(images))
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / name).write_text(text)
        return folder / name

    return write


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, write_space: Callable[..., Path]) -> Path:
    """The file of a study that was searched with two processes."""
    path = write_space(tmp_path_factory.mktemp("nas"))
    status, said = command("nas", path, "--jobs", "2")
    assert status == 0, said
    return path
