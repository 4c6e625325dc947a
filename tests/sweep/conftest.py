"""Few images, and settings that make a trial of the pipeline short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnorm.builtin import model as builtin
from hwnorm.progress import err

FEW = 40


@pytest.fixture(scope="session")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first shipped images of both splits in a ``.npz``."""
    path = tmp_path_factory.mktemp("images") / "few.npz"
    with np.load(builtin.IMAGES) as stored:
        np.savez(path, **{name: stored[name][:FEW] for name in stored.files})
    return path


@pytest.fixture
def as_worker() -> Iterator[None]:
    """This process may do as a worker does, and is as before afterwards."""
    threads, quiet = torch.get_num_threads(), err.quiet
    yield
    torch.set_num_threads(threads)
    err.quiet = quiet
