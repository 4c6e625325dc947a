"""One package with every kind of cell, which tests may copy and spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sample_datapaths import every_cell

from hwnorm.emit import emit_package


@pytest.fixture(scope="session")
def every_cell_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package ``cells`` with two lanes."""
    folder = tmp_path_factory.mktemp("packages") / "cells"
    emit_package(every_cell(), "cells", folder, lanes=2)
    return folder


@pytest.fixture
def copied(every_cell_package: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(every_cell_package, tmp_path / "cells"))
