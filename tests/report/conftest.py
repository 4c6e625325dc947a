"""A small run folder with every artefact that the report reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from report_runs import TARGET, add_layer, choose, finish, point, profile_of
from run_folders import begun
from study_rows import TRIALS, row_of, write_table

from hwnorm.files import write_artefact
from hwnorm.profile import LayerProfile

EXPRESSIONS = {"blocks.0.norm1": "2.5*tanh(0.75*x) + 0.25", "blocks.10.norm2": "clip(0.875*x, 3)"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two layers, for reading only; the second one's kernel failed in HLS."""
    folder = tmp_path_factory.mktemp("report") / "a run"
    run = begun(folder, target=TARGET, clock_mhz=300.0, seed=7)
    layers = [add_layer(run, *item, seed) for seed, item in enumerate(EXPRESSIONS.items())]
    at = point(90.0, 0.0625, 0.0725, 93.5)
    choose(run, layers, [at], at)
    finish(run, layers, failed=layers[1].top)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """The finished run, to be changed at will."""
    return shutil.copytree(finished, tmp_path / "a run")


@pytest.fixture
def profile() -> LayerProfile:
    return profile_of("2*tanh(x)", 3)


@pytest.fixture(scope="session")
def studied(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of five trials, for reading only: one failed, one is not verified."""
    folder = tmp_path_factory.mktemp("studies") / "bits"
    head = {"sampler": "grid", "trials": None, "seed": 0, "storage": "postgresql://me:secret@host/db"}
    axes = {"input_bits": [bits for _, bits, _ in TRIALS], "within": [0.1]}
    write_artefact(
        folder / "study.json", "study", 0, {}, {"study": head, "run": {"images": 20}, "axes": axes}
    )
    for number, (accuracy, _, verified) in enumerate(TRIALS):
        if accuracy is None:
            continue
        run = shutil.copytree(finished, folder / "trials" / f"{number:04d}")
        if verified:
            verdict = json.loads((run / "verdict.json").read_text())
            for package in verdict["packages"]:
                package |= {"hls_bit_exact": True, "hls_mismatches": 0, "first_mismatch": None}
            (run / "verdict.json").write_text(json.dumps(verdict))
    write_table(folder / "results.parquet", [row_of(number, *trial) for number, trial in enumerate(TRIALS)])
    return folder


@pytest.fixture
def study(studied: Path, tmp_path: Path) -> Path:
    """The study, to be changed at will."""
    return shutil.copytree(studied, tmp_path / "bits")
