"""The files that a sweep writes: a damaged one of each kind is refused by its file and field, in one line."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
from synthetic_trials import quick, write_study
from typer.testing import CliRunner

from hwnorm.artefact import Artefact
from hwnorm.cli import app
from hwnorm.errors import InputError
from hwnorm.files import body, write_artefact
from hwnorm.runs.studies import FrontFile, PickedPoint, StudyRecord, StudyRow
from hwnorm.sweep.pareto import study_rows
from hwnorm.sweep.sweep import sweep
from hwnorm.sweep.table import column_types, read_table
from hwnorm.tabular import write_parquet

STUDY = """
[study]
sampler = "random"
trials = 3
[run]
images = 20
[axes]
input_bits = [8, 10]
within = { low = 0.1, high = 1.0 }
"""
#: In place of what is taken away.
GONE = object()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished study, with its front in a file."""
    study = write_study(tmp_path_factory.mktemp("study"), STUDY)
    sweep(study, run_trial=quick)
    code, *_ = invoke("pareto", study.path, "--json", study.folder / "front.json")
    assert code == 0
    return study.path


def invoke(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


def changed(path: Path, where: str, value: object) -> str:
    """Damage a file; what it held."""
    text = path.read_text()
    data = json.loads(text)
    *outer, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    at = data
    for part in outer:
        at = at[part]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    path.write_text(json.dumps(data))
    return text


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("study", GONE, "study: missing"),
        ("study.seed", GONE, "study.seed: missing"),
        ("study.sampler", "guess", "study.sampler: Input should be 'grid', 'random', 'nsga2' or 'tpe'"),
        ("study.trials", "3", "study.trials: Input should be a valid integer"),
        ("study.trials", None, "study: trials is None with the sampler 'random'"),
        ("run", GONE, "run: missing"),
        ("run.images", None, "run.images: truth, a number, text or a table of them was expected"),
        ("axes", {}, "axes: Dictionary should have at least 1 item"),
        ("axes.input_bits", [], "axes.input_bits.values: List should have at least 1 item"),
        ("axes.input_bits.1", None, "axes.input_bits.values.1: truth, a number"),
        ("axes.within.log", GONE, "axes.within.range.log: missing"),
        ("axes.within.low", 2.0, "axes.within.range: low 2.0, high 1.0"),
        ("earlier_axes", [{"within": 3}], "earlier_axes.0.within.range: Input should be"),
        ("more", 1, "more: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_study_is_refused(finished, where, value, message):
    """By whoever goes on with it, and by its page."""
    path = finished.with_suffix("") / "study.json"
    text = changed(path, where, value)
    try:
        for command in ("sweep", "report"):
            code, printed, told = invoke(command, finished)
            assert (code, printed) == (2, "")
            assert told.startswith(f"hwnorm: {path}: {message}")
            assert f"; restore it, or remove {path.parent}: `hwnorm sweep {finished}` begins anew" in told
            assert told.count("\n") == 1
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("where", "value"), [("study.trials", None), ("study.address", "db://me:hunter2-and-much-more@host/x")]
)
def test_a_damaged_study_tells_no_password(tmp_path, where, value):
    """One that an earlier version wrote: not even its beginning, where what was found is cut short."""
    url = f"db://me:hunter2-{60 * 'x'}@host/x"
    head = {"storage": url, "sampler": "random", "trials": 3, "seed": 0}
    path = tmp_path / "study.json"
    write_artefact(path, "study", 0, {}, {"study": head, "run": {}, "axes": {"within": [1]}})
    assert StudyRecord.of_folder(tmp_path).study.storage == url
    changed(path, where, value)
    with pytest.raises(InputError, match=r"study.*\(found .*db://\*\*\*@host/x") as caught:
        StudyRecord.of_folder(tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("trial", GONE, "trial: missing"),
        ("trial", -1, "trial: Input should be greater than or equal to 0"),
        ("state", "lost", "state: Input should be 'complete' or 'failed'"),
        ("error", GONE, "error: missing"),
        ("accuracy_name", "top-5", "accuracy_name: Input should be 'top-1' or 'cosine'"),
        ("accuracy_bit_true", "good", "accuracy_bit_true: Input should be a valid number"),
        ("accuracy_bit_true", None, "accuracy_bit_true: a complete trial has measured it"),
        ("area", GONE, "area: missing"),
        ("lut", 1.5, "lut: Input should be a valid integer"),
        ("input_bits", "eight", 'input_bits: an integer was expected (found "eight")'),
        ("within", True, "within: a number was expected (found true)"),
        ("colour", "red", 'colour: no column of a row, nor a setting of a run (found "red")'),
        ("torch_version", None, "torch_version: Input should be a valid string"),
    ],
)
def test_a_damaged_result_is_refused(finished, where, value, message):
    """The line says how the trial runs again; without the file it does."""
    path = finished.with_suffix("") / "trials" / "0001" / "result.json"
    text = changed(path, where, value)
    try:
        code, printed, told = invoke("sweep", finished)
    finally:
        path.write_text(text)
    assert (code, printed) == (2, "")
    assert told.startswith(f"hwnorm: {path}: {message}")
    assert told.endswith(f"; remove it, and `hwnorm sweep {finished}` runs the trial again\n")
    assert told.count("\n") == 1


def point(folder: Path) -> Path:
    """The manifest of an emitted point, of a trial that made no packages."""
    (row, *_) = study_rows([folder])
    told = StudyRow.model_validate({name: value for name, value in row.items() if name != "folder"})
    path = folder / "manifest.json"
    PickedPoint(row=told, kernels=("norm",), files={"packages/norm/norm.v": 64 * "0"}).write(path, None, {})
    return path


@pytest.mark.parametrize(
    ("model", "where", "value", "message"),
    [
        (FrontFile, "fronts", GONE, "fronts: missing"),
        (FrontFile, "fronts.0.unit", 3, "fronts.0.unit: Input should be a valid string"),
        (FrontFile, "fronts.0.knee", 3, "fronts.0.knee: Extra inputs are not permitted"),
        (FrontFile, "points.0.knee", GONE, "points.0.knee: missing"),
        (FrontFile, "points.0.point", 0, "points.0.point: Input should be greater than or equal to 1"),
        (FrontFile, "points.0.input_bits", "8", "points.0.input_bits: an integer was expected"),
        (FrontFile, "points.0.colour", 3, "points.0.colour: no column of a row"),
        (PickedPoint, "row.study", GONE, "row.study: missing"),
        (PickedPoint, "row.hwnorm_version", GONE, "row.hwnorm_version: missing"),
        (PickedPoint, "row.verified", None, "row.verified: a complete trial has measured it"),
        (PickedPoint, "kernels", "norm", "kernels: Input should be a valid tuple"),
        (PickedPoint, "files", {"../x": 64 * "0"}, "files.../x.[key]: '../x' is not the relative name"),
        (PickedPoint, "files", {"x": "0"}, "files.x: String should match pattern"),
        (PickedPoint, "trial", 1, "trial: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_front_or_point_is_refused(finished, model: type[Artefact], where, value, message):
    """By whoever reads it as what it is."""
    folder = finished.with_suffix("")
    path = folder / "front.json" if model is FrontFile else point(folder)
    whole = model.read(path)
    text = changed(path, where, value)
    try:
        with pytest.raises(InputError) as caught:
            model.read(path, "write it again")
    finally:
        path.write_text(text)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert str(caught.value).endswith("; write it again")
    assert "\n" not in str(caught.value)
    assert whole.to_json() == body(json.loads(text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"area": GONE}, "column area: missing"),
        ({"state": "lost"}, "column state: Input should be 'complete' or 'failed'"),
        ({"unit": None}, "column unit: a complete trial has measured it"),
    ],
)
def test_a_damaged_table_has_no_front(finished, tmp_path, change, message):
    """One line instead of a front of half a row."""
    rows = deepcopy(read_table(finished.with_suffix("") / "results.parquet"))
    rows[0] = {name: value for name, value in (rows[0] | change).items() if value is not GONE}
    types = column_types(["input_bits", "within"])
    types = {name: kind for name, kind in types.items() if change.get(name) is not GONE}
    write_parquet(tmp_path / "s" / "results.parquet", rows, types)
    code, printed, told = invoke("pareto", tmp_path / "s")
    assert (code, printed) == (2, "")
    assert told.startswith(f"hwnorm: {tmp_path / 's' / 'results.parquet'}: {message}")


def test_a_trial_that_measures_nonsense_has_failed(tmp_path):
    """What is run instead of the pipeline may return anything: its row says what is wrong with it."""

    def nonsense(folder: Path, settings: object, store: Path) -> dict[str, object]:
        return quick(folder, settings, store) | {"area": "large"}  # type: ignore[arg-type]

    from hwnorm.sweep.trial import Trial, perform

    study = write_study(tmp_path, STUDY)
    given = {"input_bits": 8, "within": 0.5}
    trial = Trial(0, study.trial(0), study.store, study.settings(given), study.row(given))
    row = perform(trial, nonsense)
    assert row["state"] == "failed"
    assert row["error"].startswith("what was measured, area: Input should be a valid number")
