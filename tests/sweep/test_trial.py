"""Trials of the pipeline: stages are shared, and each trial is what a run of its own would be."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from synthetic_trials import write_study
from typer.testing import CliRunner

import hwnorm
import hwnorm.stages.capture
import hwnorm.stages.choose
import hwnorm.stages.realign
import hwnorm.stages.search
import hwnorm.stages.verify
from hwnorm.cli import app
from hwnorm.network.choice import functions_digest, read_choice
from hwnorm.network.models import load_model
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import RunSettings
from hwnorm.stages.capture import capture
from hwnorm.stages.choose import choose
from hwnorm.stages.emit import emit
from hwnorm.stages.realign import realign
from hwnorm.stages.search import search
from hwnorm.stages.verify import verify
from hwnorm.sweep.study import Study
from hwnorm.sweep.sweep import sweep
from hwnorm.sweep.trial import _inputs_of, run_pipeline

#: Two norms of the built-in model; four trials with two budgets each of two widths of the output.
STUDY = """
[run]
data = "{data}"
images = 40
only = "blocks.1.norm*"
population = 8
generations = 1
input_bits = 8
[axes]
output_bits = [6, 8]
within = [0.0, 3.0]
"""
#: What does the work of each stage.
WORK = {
    hwnorm.stages.capture: "capture_norms",
    hwnorm.stages.search: "run_jobs",
    hwnorm.stages.choose: "survey",
    hwnorm.stages.realign: "refit",
    hwnorm.stages.verify: "verify_packages",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory, few_images) -> Study:
    """A study that two processes ran."""
    made = write_study(tmp_path_factory.mktemp("study"), STUDY.format(data=few_images))
    summary = sweep(made, jobs=2)
    assert (len(summary.rows), summary.failed) == (4, [])
    return made


def parameters(study: Study) -> list[dict]:
    return [{"output_bits": bits, "within": within} for bits in (6, 8) for within in (0.0, 3.0)]


def test_stages_are_shared(study, tmp_path, monkeypatch, as_worker):
    """Four trials capture once, search and survey once a width, and realign once a set of functions."""
    done: Counter[str] = Counter()

    def counted(name, work):
        def run(*args, **kwargs):
            done[name] += 1
            return work(*args, **kwargs)

        return run

    for module, name in WORK.items():
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    for number, given in enumerate(parameters(study)):
        run_pipeline(tmp_path / f"{number}", study.settings(given), tmp_path / "store")
    chosen = [read_choice(tmp_path / f"{number}" / "choice.json") for number in range(4)]
    different = len({functions_digest(choice) for choice in chosen})
    assert done["capture_norms"] == 1
    assert done["run_jobs"] == done["survey"] == 2
    assert done["refit"] == different > 1
    assert done["verify_packages"] <= different


def test_a_trial_is_the_run_that_its_settings_make(study, tmp_path, as_worker):
    """Without a store, in a folder of its own: every artefact is the same, byte for byte, but for paths."""
    torch.set_num_threads(1)
    run = RunFolder.create(tmp_path / "alone", study.settings(parameters(study)[3]), force=False)
    inputs = Inputs(run.settings)
    capture(run, inputs)
    search(run, 1)
    choose(run, inputs, 1)
    realign(run, inputs)
    emit(run)
    verify(run, 1)
    trial = study.trial(3)
    names = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert names | {"result.json"} == {
        str(path.relative_to(trial)) for path in trial.rglob("*") if path.is_file()
    }
    for name in names:
        assert (trial / name).read_bytes() == (run.path / name).read_bytes(), name


def test_a_row_says_what_the_trials_artefacts_say(study):
    """Accuracies of realign.json, area of the choice, sums over its kernels, verdicts."""
    for number in range(4):
        folder = study.trial(number)
        row = json.loads((folder / "result.json").read_text())
        choice = json.loads((folder / "choice.json").read_text())
        realigned = json.loads((folder / "realign.json").read_text())
        built = [layer for layer in choice["layers"] if not layer["folded"]]
        assert row["accuracy_bit_true"] == realigned["top1"]["bit_true"]["percent"]
        assert row["accuracy_layernorm"] == realigned["top1"]["layernorm"]["percent"]
        assert row["area"] == pytest.approx(choice["area"])
        assert row["lut"] == sum(layer["resources"]["lut"] for layer in built)
        assert (row["kernels"], row["folded"]) == (len(built), 2 - len(built))
        assert row["latency"] == max((layer["datapath"]["latency"] for layer in built), default=0)
        assert (row["fmax_mhz"] is None) == (not built)
        assert row["verified"] is True


def test_more_lanes_take_more_area(study, few_images, tmp_path, as_worker):
    """Each lane is a core of its own."""
    settings = study.settings(parameters(study)[0])
    rows = [
        run_pipeline(
            tmp_path / str(lanes), settings.model_copy(update={"lanes": lanes}), study.store.absolute()
        )
        for lanes in (1, 4)
    ]
    assert rows[1]["area"] == 4 * rows[0]["area"] > 0
    assert rows[1]["lut"] == 4 * rows[0]["lut"]
    assert rows[1]["accuracy_bit_true"] == rows[0]["accuracy_bit_true"]


def test_the_picked_point_is_emitted_whole(study, tmp_path):
    """Its packages pass `hwnorm verify` again, its network can be rebuilt, and every file has its sum."""
    out = tmp_path / "point"
    result = CliRunner().invoke(app, ["pareto", str(study.path), "--pick", "1", "--emit", str(out)])
    assert result.exit_code == 0, result.output
    manifest = json.loads((out / "manifest.json").read_text())
    trial = study.trial(manifest["row"]["trial"])
    assert (out / "choice.json").read_bytes() == (trial / "choice.json").read_bytes()
    on_disk = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert on_disk == set(manifest["files"]) | {"manifest.json"}
    for top in manifest["kernels"]:
        assert json.loads((out / "packages" / top / "verdict.json").read_text())["passed"]
        assert CliRunner().invoke(app, ["verify", str(out / "packages" / top)]).exit_code == 0
    hardware = hwnorm.replace(load_model("builtin", None), str(out), fixed=True)
    assert isinstance(hardware, torch.nn.Module)
    again = CliRunner().invoke(app, ["pareto", str(study.path), "--emit", str(out)])
    assert again.exit_code == 2
    assert "not an empty folder" in again.stderr


def test_a_tool_that_is_missing_is_told_once(study, tmp_path, few_images, monkeypatch):
    """Before the first trial; nothing is recorded."""
    monkeypatch.setenv("PATH", str(tmp_path))
    fresh = write_study(tmp_path, STUDY.format(data=few_images), "fresh")
    with pytest.raises(hwnorm.errors.InputError, match="not found on the PATH"):
        sweep(fresh)
    assert not list(Path(fresh.folder).glob("trials/*/result.json"))


def test_a_worker_loads_weights_by_what_their_file_holds(tmp_path, few_images):
    """A file of the same size and time with other weights is another network; the same one is kept."""
    path = tmp_path / "w.safetensors"
    state = {name: value.clone() for name, value in load_model("builtin", None).state_dict().items()}
    save_file(state, path)
    settings = RunSettings(weights=path, data=few_images, images=8)
    first, stat = _inputs_of(settings), path.stat()
    again = _inputs_of(settings)
    assert again.model is first.model
    assert again.digest("model") == first.digest("model")
    state["norm.bias"][0] += 1.0
    save_file(state, path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    other = _inputs_of(settings)
    assert torch.equal(other.model.norm.bias[0], first.model.norm.bias[0] + 1.0)
    assert other.digest("model") != first.digest("model")


def test_a_worker_sees_images_that_have_changed(tmp_path):
    """They are opened for each trial."""
    path = tmp_path / "images.npz"
    settings = RunSettings(data=path, images=8)
    found = []
    for pixel in (0, 1):
        images, labels = np.full((8, 28, 28), pixel, np.uint8), np.arange(8)
        np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
        found.append(_inputs_of(settings).digest("training_images"))
    assert found[0] != found[1]
