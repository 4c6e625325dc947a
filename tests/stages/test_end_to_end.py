"""The main job on the built-in model: every artefact, repeatable, resumable, each stage on its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

import hwnorm.stages.realign
from hwnorm.builtin.model import build
from hwnorm.choose.offers import SHARPER
from hwnorm.cli import app
from hwnorm.expression import parse
from hwnorm.files import SCHEMA
from hwnorm.version import VERSION

LAYERS = [f"blocks.{block}.norm{i}" for block in (0, 5) for i in (1, 2)] + ["norm"]
TOPS = ["hwnorm_" + layer.replace(".", "_") for layer in LAYERS]
ARTEFACTS = {
    "run.json": "run",
    "choices.json": "choices",
    "choice.json": "choice",
    "realign.json": "realign",
    "integer.json": "integer",
    "verdict.json": "verdicts",
    **{f"profiles/{layer}.json": "profile" for layer in LAYERS},
    **{f"fronts/{layer}.json": "front" for layer in LAYERS},
}
PAGES = ("report.html", "report")
#: Stage -> what it makes in the run folder.
MADE_BY = {
    "capture": ["profiles"],
    "search": ["fronts/norm.json"],
    "choose": ["choices.json", "choice.json"],
    "realign": ["realign.json", "realigned.safetensors"],
    "quantize": ["integer.json", "integer.safetensors"],
    "emit": ["packages"],
    "verify": ["verdict.json"],
    "report": list(PAGES),
}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def copy(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "copy"))


def test_every_artefact_is_there_and_says_what_it_is(finished):
    """Kind, schema, version, seed and origin of each, and nothing that the documents do not name."""
    for name, kind in ARTEFACTS.items():
        data = json.loads((finished.folder / name).read_text())
        assert list(data)[:5] == ["kind", "schema", "hwnorm_version", "seed", "made_from"], name
        assert (data["kind"], data["schema"]) == (kind, SCHEMA), name
        assert (data["hwnorm_version"], data["seed"]) == (VERSION, 0), name
        assert bool(data["made_from"]) == (name != "run.json"), name
    assert (finished.folder / "report.html").stat().st_size > 10_000
    assert any((finished.folder / "report").glob("*.png"))
    found = {path.name for path in finished.folder.iterdir()}
    folders = {"profiles", "fronts", "packages", "report"}
    files = {"run.json", "choices.json", "choice.json", "realign.json", "integer.json", "verdict.json"}
    weights = {"realigned.safetensors", "integer.safetensors"}
    assert found == folders | files | weights | {"report.html"}


def test_fronts_and_choice_hold_what_the_documents_say(finished):
    """Points are sorted by cost and none beats another; the choice is made of one, in order."""
    choice = json.loads((finished.folder / "choice.json").read_text())["layers"]
    offered = json.loads((finished.folder / "choices.json").read_text())["layers"]
    assert [layer["layer"] for layer in choice] == LAYERS
    assert [layer["top"] for layer in choice] == TOPS
    for layer, of_layer in zip(choice, offered, strict=True):
        assert layer["expression"] in [offer["expression"] for offer in of_layer["offers"]]
        front = json.loads((finished.folder / "fronts" / f"{layer['layer']}.json").read_text())
        points = front["points"]
        assert [p["cost"] for p in points] == sorted(p["cost"] for p in points)
        for a in points:
            better = [b for b in points if all(b[k] <= a[k] for k in ("error", "cost", "lut"))]
            assert not any(b["r2_bit_true"] >= a["r2_bit_true"] for b in better if b is not a)
            assert a["family"]
        assert len(front["hypervolume"]) == 2
        # Built is a point of the front, as it is or steeper, with gain and offset fitted again; or a line; or
        # the table for the readers, which has its entries as they are.
        x = np.linspace(-1.5, 1.5, 200)
        built = parse(layer["expression"]).numpy(x)
        shapes = [parse(p["expression"]).numpy(factor * x) for p in points for factor in SHARPER]
        shapes = [x] if layer["folded"] else [shape for shape in shapes if np.ptp(shape)]
        for_readers = layer["family"] == "table" and parse(layer["expression"]).kind == "rom"
        assert for_readers or max(abs(np.corrcoef(shape, built)[0, 1]) for shape in shapes) > 0.9999
        assert 0.4 < layer["r2"] <= layer["ceiling_r2"] + 1e-9 < 1.0


def test_packages_are_complete_and_every_kernel_is_bit_exact(finished):
    """Files that a manifest names are there; all 4,096 codes agree in Verilator and in HLS."""
    verdicts = json.loads((finished.folder / "verdict.json").read_text())["packages"]
    choice = json.loads((finished.folder / "choice.json").read_text())["layers"]
    folded = [layer["top"] for layer in choice if layer["folded"]]
    assert [verdict["top"] for verdict in verdicts] == [top for top in TOPS if top not in folded]
    for top in folded:
        manifest = json.loads((finished.folder / "packages" / top / "manifest.json").read_text())
        assert manifest["folded"] is True
        assert list((finished.folder / "packages" / top).iterdir()) == [
            finished.folder / "packages" / top / "manifest.json"
        ]
    for verdict in verdicts:
        assert verdict["passed"], verdict
        assert verdict["exhaustive"], verdict
        assert verdict["codes"] == 2**12
        assert verdict["verilator_bit_exact"] is verdict["hls_bit_exact"] is True
        package = finished.folder / "packages" / verdict["top"]
        manifest = json.loads((package / "manifest.json").read_text())
        assert all((package / name).is_file() for name in manifest["files"])


def test_realigned_weights_load_and_accuracies_are_counted(finished):
    """The refitted network has the norms' parameters no more; every percentage is its count's."""
    weights = load_file(finished.folder / "realigned.safetensors")
    original = build().state_dict()
    assert set(weights) == {name for name in original if name.rpartition(".")[0] not in LAYERS}
    assert all(weights[name].shape == original[name].shape for name in weights)
    stored = json.loads((finished.folder / "realign.json").read_text())
    top1, paired = stored["top1"], stored["paired"]
    assert list(top1) == [
        "layernorm",
        "functions_only",
        "functions_only_bit_true",
        "realigned",
        "bit_true",
    ]
    for measured in top1.values():
        assert measured["percent"] == pytest.approx(100 * measured["correct"] / measured["total"])
        assert measured["total"] == 40
        assert measured["interval"][0] <= measured["percent"] <= measured["interval"][1]
    assert list(paired) == list(top1)[1:]
    for network, beside in paired.items():
        difference = top1[network]["percent"] - top1["layernorm"]["percent"]
        assert beside["difference"] == pytest.approx(difference)
        assert beside["lost"] + beside["both"] == top1["layernorm"]["correct"]


def test_tables_are_printed(finished):
    """A line a layer with its formats and verdicts, and a line for each network, float and bit-true."""
    lines = finished.printed.splitlines()
    for layer in LAYERS:
        (line,) = [line for line in lines if line.split()[:1] == [layer]]
        if line.split()[-2:] == ["folds", "folds"]:
            continue
        assert line.split()[-2:] == ["bit-exact", "bit-exact"]
        assert " s12f" in line
    for network in ("the original", "functions, nothing else", "functions, re-aligned"):
        assert any(line.strip().startswith(f"{network} ") for line in lines)
        assert (f"{network}, bit-true " in finished.printed) == (network != "the original")
    fingerprint = json.loads((finished.folder / "realign.json").read_text())["test_fingerprint"]
    assert fingerprint in finished.printed


def test_second_run_does_nothing_again(finished):
    """The same command on the finished run: no file is touched, the same tables come."""
    before = times(finished.folder)
    result = CliRunner().invoke(app, [*finished.command(finished.folder), "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert times(finished.folder) == before
    assert result.stdout == finished.printed


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_finds_the_same(finished, tmp_path, monkeypatch):
    """Ctrl-C in the search and in the re-alignment: finished layers stay, and with one process and
    two stops the fronts and the choice are those of the run with two processes, byte for byte.
    """
    run = tmp_path / "r"
    command = [*finished.command(run), "--jobs", "1"]
    write = hwnorm.runs.folder.RunFolder.write

    def one_front(self, path, *args):
        if list(run.glob("fronts/*.json")):
            raise KeyboardInterrupt
        write(self, path, *args)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hwnorm.runs.folder.RunFolder, "write", one_front)
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 130, result.output
    (first,) = run.glob("fronts/*.json")
    stamp = first.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(hwnorm.stages.realign, "refit", stop)
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 130, result.output
    assert "Traceback" not in result.output
    assert first.stat().st_mtime_ns == stamp
    assert not (run / "realign.json").exists()
    for name in [f"fronts/{layer}.json" for layer in LAYERS] + ["choices.json", "choice.json"]:
        assert (run / name).read_bytes() == (finished.folder / name).read_bytes(), name
    before = times(run)
    result = CliRunner().invoke(app, ["realign", str(run)])
    assert result.exit_code == 0, result.output
    assert {path: stamp for path, stamp in times(run).items() if path in before} == before
    assert (run / "realign.json").read_bytes() == (finished.folder / "realign.json").read_bytes()


def test_ctrl_c_ends_every_process_without_a_traceback(finished, tmp_path):
    """A terminal sends SIGINT to the whole group, the search's workers too: one line, code 130."""
    run = tmp_path / "r"
    command = [sys.executable, "-c", "from hwnorm.cli import main; main()", *finished.command(run)]
    process = subprocess.Popen(
        [*command, "--jobs", "2", "--generations", "8"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # Started in the background of a shell, tests ignore SIGINT, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list(run.glob("fronts/*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130, (printed, said)
    assert "Traceback" not in said
    assert "hwnorm: interrupted" in said
    assert len(list(run.glob("fronts/*.json"))) < len(LAYERS)


@pytest.mark.parametrize("stage", MADE_BY)
def test_a_stage_runs_alone(finished, tmp_path, stage):
    """What a stage made is removed from a finished run; its command makes just the same again."""
    run = copy(finished.folder, tmp_path)
    for name in MADE_BY[stage]:
        (shutil.rmtree if (run / name).is_dir() else os.unlink)(run / name)
    options = finished.command(run)[3:] if stage == "capture" else []
    result = CliRunner().invoke(app, [stage, str(run), *options])
    assert result.exit_code == 0, (result.output, result.exception)
    for name in MADE_BY[stage]:
        for original in [finished.folder / name, *(finished.folder / name).rglob("*")]:
            again = run / original.relative_to(finished.folder)
            if original.name == "verdict.json" and stage == "emit":
                continue  # of a package: verification's
            assert again.exists(), again
            if original.is_file() and stage != "report":
                assert again.read_bytes() == original.read_bytes(), again
