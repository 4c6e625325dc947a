"""The digest of the code: of every byte, and the same in a checkout and in a wheel."""

from __future__ import annotations

import importlib.metadata
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import hwnorm
from hwnorm.resources import FOLDERS, resource
from hwnorm.version import LIBRARIES, code_digest, digest_of_code, library_versions

PACKAGE = Path(hwnorm.__file__).parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package in a folder, its resources beside it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.npz", "*.safetensors")
    shutil.copytree(PACKAGE, tmp_path / "hwnorm", ignore=ignored)
    for folder in FOLDERS:
        shutil.copytree(resource(folder), tmp_path / folder, ignore=ignored)
    return tmp_path


def test_a_copy_has_the_same_digest(checkout):
    """It is of the files, not of where they lie; what Python leaves beside them does not count."""
    assert digest_of_code(checkout / "hwnorm") == code_digest()
    (checkout / "sim" / "__pycache__").mkdir()
    (checkout / "sim" / "__pycache__" / "test_axis.pyc").write_bytes(b"x")
    assert digest_of_code(checkout / "hwnorm") == code_digest()


def test_a_wheel_has_the_digest_of_its_checkout(checkout):
    """There the resources lie inside the package."""
    inside = checkout / "hwnorm" / "_resources"
    inside.mkdir()
    for folder in FOLDERS:
        (checkout / folder).rename(inside / folder)
    assert digest_of_code(checkout / "hwnorm") == code_digest()
    (inside / "sim" / "hwnorm_sweep.v").write_text("module hwnorm_sweep;")
    assert digest_of_code(checkout / "hwnorm") != code_digest()


@pytest.mark.parametrize(
    "name",
    [
        "hwnorm/version.py",
        "hwnorm/operators/tanh.py",
        "templates/verilog/stage.v.j2",
        "templates/hls/hwnorm_cells.h",
        "rtl/hwnorm_axis_pipe.v",
        "sim/hwnorm_sweep.v",
        "sim/test_axis.py",
    ],
)
@pytest.mark.parametrize("change", ["byte", "gone", "called otherwise"])
def test_any_byte_and_any_name_count(checkout, name, change):
    """A bit of the last byte, a file that is gone, one that is called otherwise."""
    path = checkout / name
    if change == "byte":
        raw = path.read_bytes()
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    elif change == "gone":
        path.unlink()
    else:
        path.rename(path.with_stem("other"))
    assert digest_of_code(checkout / "hwnorm") != code_digest()


def test_it_takes_no_time():
    """Every command that writes an artefact asks for it."""
    start = time.process_time()
    digest_of_code(PACKAGE)
    assert time.process_time() - start < 0.5


def test_libraries_are_those_that_are_loaded():
    found = library_versions()
    assert list(found) == list(LIBRARIES)
    assert found["numpy"] == np.__version__
    assert found["torch"] == importlib.metadata.version("torch")
    assert torch.__version__.startswith(found["torch"].split("+")[0])
