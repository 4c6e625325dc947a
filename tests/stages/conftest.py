"""One small run of the main job, shared by all tests that look at a finished run."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwnorm.builtin import model as builtin
from hwnorm.cli import app

FEW = 40
#: Five of the built-in model's 13 norms, the first and the last among them.
SMALL = ["--only", "blocks.[05].norm*,norm", "--images", str(FEW)]
SMALL += ["--population", "8", "--generations", "1", "--input-bits", "12"]


@dataclass(frozen=True)
class FinishedRun:
    """A run folder for reading only, what the command printed, and how to make another one."""

    folder: Path
    printed: str
    command: Callable[[Path], list[str]]


def _idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture(scope="session")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first shipped images of both splits as idx files: evaluation takes no time."""
    folder = tmp_path_factory.mktemp("images")
    with np.load(builtin.IMAGES) as stored:
        for split, prefix in (("train", "train"), ("test", "t10k")):
            images, labels = stored[f"{split}_images"][:FEW], stored[f"{split}_labels"][:FEW]
            (folder / f"{prefix}-images-idx3-ubyte").write_bytes(_idx(images.astype(np.uint8)))
            (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(_idx(labels.astype(np.uint8)))
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, few_images: Path) -> FinishedRun:
    """The main job on the built-in model, with two processes."""
    folder = tmp_path_factory.mktemp("runs") / "small"

    def command(out: Path) -> list[str]:
        return ["run", "--out", str(out), "--data", str(few_images), *SMALL]

    result = CliRunner().invoke(app, [*command(folder), "--jobs", "2"])
    assert result.exit_code == 0, (result.output, result.exception)
    return FinishedRun(folder, result.stdout, command)
