"""The integer network of a run: made once, what each step costs, opened from Python, refused when stale."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import hwnorm
from hwnorm.cli import app
from hwnorm.errors import InputError
from hwnorm.integers.operations import IntegerFunction, IntegerNorm
from hwnorm.realign import finetune
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, REALIGNED
from hwnorm.runs.settings import make_settings
from hwnorm.stages.main import STAGES, Work


@pytest.fixture(scope="module")
def folder(few_images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of three norms as far as integers need it, and these; no kernel is built."""
    folder = tmp_path_factory.mktemp("integer") / "run"
    small = {"only": "blocks.0.norm*,norm", "images": 40, "population": 8, "generations": 0}
    run = RunFolder.create(folder, make_settings(data=few_images, input_bits=12, **small), force=False)
    work = Work(Inputs(run.settings), 1)
    for stage in STAGES:
        if stage.name in ("capture", "search", "choose", "realign"):
            stage.perform(run, work)
    result = CliRunner().invoke(app, ["quantize", str(folder)])
    assert result.exit_code == 0, (result.output, result.exception)
    for said in ("the original", "weights quantized", "all integers", "blocks.5.mlp.fc2", "kB in rows"):
        assert said in result.stdout
    return folder


def test_the_artefact_says_what_the_network_is(folder):
    """Scores of the stored network are those that its own logits have."""
    told = json.loads((folder / "integer.json").read_text())
    run = RunFolder.open(folder)
    tests = Inputs(run.settings).test_images
    network = hwnorm.integer(folder)
    right = 0
    for pixels, labels in tests.batches(100):
        codes = network.evaluate(pixels.numpy())
        right += int((codes.argmax(1) == labels.numpy()).sum())
    assert told["scores"]["integer"]["top1"]["correct"] == right
    assert set(told["scores"]) == {"layernorm", "bit_true", "weights", "activations", "integer"}
    bits = sum(int(op.bits.astype(int).sum()) * op.weight.shape[1] for op in network.linears)
    assert told["weight_bits"] == bits
    assert sum(layer["rows"] for layer in told["layers"]) == sum(len(op.bits) for op in network.linears)


def test_the_runs_own_kernels_stand_in_the_network(folder):
    """Each kernel of the choice reads the stream in its own format, and computes what it computes."""
    network = hwnorm.integer(folder)
    found = {op.layer: op for op in network.operations if isinstance(op, IntegerFunction)}
    for chosen in RunFolder.open(folder).read(CHOICE).layers:
        if chosen.datapath is not None:
            op = found[chosen.layer]
            assert network.formats[op.x] == chosen.datapath.input
            codes = chosen.datapath.input.codes()
            np.testing.assert_array_equal(op.table, chosen.datapath.evaluate(codes))


def test_nothing_is_made_twice(folder):
    before = (folder / "integer.json").stat().st_mtime_ns
    assert CliRunner().invoke(app, ["quantize", str(folder)]).exit_code == 0
    assert (folder / "integer.json").stat().st_mtime_ns == before


def test_a_norm_that_stays_is_the_rtls(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "kept"))
    command = ["quantize", str(copy), "--keep-norms", "blocks.0.*"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, (result.output, result.exception)
    norms = [op.layer for op in hwnorm.integer(copy).operations if isinstance(op, IntegerNorm)]
    # The run replaces three norms: the other ten are LayerNorms anyway.
    assert {"blocks.0.norm1", "blocks.0.norm2"} <= set(norms)
    assert len(norms) == 12
    assert json.loads((copy / "run.json").read_text())["settings"]["keep_norms"] == "blocks.0.*"


def test_integers_are_fine_tuned(folder, tmp_path, monkeypatch):
    """Through the integers: re-alignment stays as it is, and what is stored is the trained network."""
    # Of so few images an epoch is none the better: the last one is called so, to see that it is kept.
    losses = iter((3.0, 2.0, 1.0))
    measure = finetune._measure
    monkeypatch.setattr(finetune, "_measure", lambda *given: replace(measure(*given), loss=next(losses)))
    before = hwnorm.integer(folder)
    copy = Path(shutil.copytree(folder, tmp_path / "tuned"))
    trained = ["--finetune", "D", "--hardware-in-loop", "--epochs", "2", "--learning-rate", "1e-2"]
    result = CliRunner().invoke(app, ["quantize", str(copy), *trained])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "all integers, before fine-tuning" in result.stdout
    told = json.loads((copy / "integer.json").read_text())
    assert len(told["epochs"]) == 3
    assert not (copy / "finetune_integers.pt").exists()
    network = hwnorm.integer(copy)
    for old, new in zip(before.linears, network.linears, strict=True):
        np.testing.assert_array_equal(old.bits, new.bits)
    pairs = zip(before.linears, network.linears, strict=True)
    assert any(not np.array_equal(old.weight, new.weight) for old, new in pairs)
    tests = Inputs(RunFolder.open(copy).settings).test_images
    right = sum(
        int((network.evaluate(pixels.numpy()).argmax(1) == labels.numpy()).sum())
        for pixels, labels in tests.batches(100)
    )
    assert told["scores"]["integer"]["top1"]["correct"] == right
    assert (
        told["scores"]["closed_form"]
        == json.loads((folder / "integer.json").read_text())["scores"]["integer"]
    )
    assert RunFolder.open(copy).stale(REALIGNED) is None


def test_all_norms_stay_for_the_control(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "control"))
    result = CliRunner().invoke(app, ["quantize", str(copy), "--norms", "layernorm", "--ratio8", "1"])
    assert result.exit_code == 0, (result.output, result.exception)
    network = hwnorm.integer(copy)
    assert sum(isinstance(op, IntegerNorm) for op in network.operations) == 13
    model = Inputs(RunFolder.open(copy).settings).model
    images = next(iter(Inputs(RunFolder.open(copy).settings).test_images.batches(40)))[0]
    with torch.no_grad():
        same = model(images).argmax(1).numpy() == network.evaluate(images.numpy()).argmax(1)
    assert same.mean() > 0.9


def test_what_is_stale_is_refused(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "stale"))
    result = CliRunner().invoke(app, ["choose", str(copy), "--total-area", "0"])
    assert result.exit_code == 0, result.output
    with pytest.raises(InputError, match=r"integer\.json: .*hwnorm quantize"):
        hwnorm.integer(copy)
    result = CliRunner().invoke(app, ["quantize", str(copy)])
    assert result.exit_code == 2
    assert "hwnorm realign" in result.output


def test_codes_of_another_network_are_refused(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "changed"))
    path = copy / "integer.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="integer"):
        hwnorm.integer(copy)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keep-norms", "blocks.9.*"], "--keep-norms: 'blocks.9.*' matches no norm; there are blocks.0"),
        (["--ratio8", "1.5"], "option --ratio8: 1.5;"),
        (["--activation-bits", "9"], "option --activation-bits: 9;"),
        (["--finetune", "A", "--hardware-in-loop"], "option --finetune A: trains no network of integers"),
    ],
)
def test_bad_options_are_told(folder, options, said):
    result = CliRunner().invoke(app, ["quantize", str(folder), *options])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert json.loads((folder / "run.json").read_text())["settings"]["ratio8"] == 0.25
