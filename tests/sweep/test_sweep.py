"""The sweep with trials of no work: what runs, what runs again, and what the table holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
from synthetic_trials import GRID, dying, failing, measured, quick, runs, wait_for, write_study

from hwnorm.errors import InputError
from hwnorm.runs.settings import RunSettings
from hwnorm.sweep.folder import locked
from hwnorm.sweep.live import View
from hwnorm.sweep.study import grid
from hwnorm.sweep.sweep import sweep
from hwnorm.sweep.table import read_table

SAMPLED = """
[study]
sampler = "{sampler}"
trials = {trials}
[axes]
input_bits = [8, 10, 16]
output_bits = {{ low = 4, high = 12 }}
within = {{ low = 0.01, high = 1.0, log = true }}
"""


def without_times(path: Path) -> list[dict]:
    """The rows of a table but for the seconds, which differ."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_table(path)]


def optuna_trials(study):
    storage = f"sqlite:///{study.folder / 'optuna.sqlite3'}"
    return optuna.load_study(study_name=study.name, storage=storage).get_trials()


def test_a_grid_is_run_once_in_its_order(tmp_path):
    """24 combinations, each once, the last axis fastest; a second sweep runs none and the table stays."""
    study = write_study(tmp_path)
    summary = sweep(study, jobs=2, run_trial=quick)
    assert (len(summary.rows), summary.ran, summary.failed) == (24, 24, [])
    expected = list(grid(study.file.axes))
    assert [{name: row[name] for name in study.columns} for row in summary.rows] == expected
    assert [row["trial"] for row in summary.rows] == list(range(24))
    before = study.results.read_bytes()
    again = sweep(study, jobs=2, run_trial=quick)
    assert again.ran == 0
    assert study.results.read_bytes() == before
    assert {runs(study.trial(number)) for number in range(24)} == {1}


def test_the_table_holds_what_trials_measured(tmp_path):
    """Columns as the documents name them, with types; the values are those that the trials returned."""
    study = write_study(tmp_path)
    sweep(study, run_trial=quick)
    schema = pq.read_schema(study.results)
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    assert all(f"`{name}`" in page for name in schema.names if name not in study.columns)
    types = {name: str(schema.field(name).type) for name in schema.names}
    assert types["trial"] == types["input_bits"] == types["lut"] == "int64"
    assert types["within"] == types["fmax_mhz"] == types["seconds"] == "double"
    assert (types["verified"], types["unit"]) == ("bool", "string")
    for row in read_table(study.results):
        settings = study.settings({name: row[name] for name in study.columns})
        assert {name: row[name] for name in measured(settings)} == measured(settings)
        assert (row["state"], row["error"]) == ("complete", None)


def test_optuna_has_every_trial_and_both_objectives(tmp_path):
    """Its own tools can read the storage: parameters, accuracy and area of each."""
    study = write_study(tmp_path)
    summary = sweep(study, run_trial=quick)
    found = {trial.user_attrs["trial"]: trial for trial in optuna_trials(study)}
    assert sorted(found) == list(range(24))
    for row in summary.rows:
        trial = found[row["trial"]]
        assert trial.params == {name: row[name] for name in study.columns}
        assert trial.values == [row["accuracy_bit_true"], row["area"]]


def test_a_lost_database_is_made_again_from_the_results(tmp_path):
    """``result.json`` is the truth: without Optuna's file and the table the same come back."""
    study = write_study(tmp_path)
    sweep(study, run_trial=quick)
    before = study.results.read_bytes()
    (study.folder / "optuna.sqlite3").unlink()
    study.results.unlink()
    assert sweep(study, run_trial=quick).ran == 0
    assert study.results.read_bytes() == before
    assert len(optuna_trials(study)) == 24


def test_a_failing_trial_is_recorded_and_retried_when_asked(tmp_path):
    """Its error is its row's, the others go on; --retry-failed runs it, and nothing else, again."""
    study = write_study(tmp_path)
    summary = sweep(study, jobs=2, run_trial=failing)
    assert len(summary.rows) == 24
    assert {row["input_bits"] for row in summary.failed} == {10}
    assert {row["error"] for row in summary.failed} == {"ValueError: ten bits are too many"}
    assert all(row["area"] is None and row["verified"] is None for row in summary.failed)
    first = summary.failed[0]["trial"]
    assert "Traceback" in (study.trial(first) / "error.txt").read_text()
    (tmp_path / "mended").touch()
    assert sweep(study, run_trial=failing).ran == 0
    mended = sweep(study, run_trial=failing, retry_failed=True)
    assert (mended.ran, mended.failed) == (6, [])
    assert {runs(study.trial(row["trial"])) for row in mended.rows if row["input_bits"] != 10} == {1}
    assert not (study.trial(first) / "error.txt").exists()
    assert sum(trial.values is not None for trial in optuna_trials(study)) == 24


def test_a_process_that_dies_loses_its_own_trial_alone(tmp_path):
    """What dies once runs again; what dies each time is recorded after three; the others run once."""
    study = write_study(tmp_path, "[axes]\ninput_bits = [8, 10, 12, 14, 16]")
    summary = sweep(study, jobs=2, run_trial=dying)
    assert [runs(study.trial(number)) for number in range(5)] == [1, 2, 3, 1, 1]
    assert [row["state"] for row in summary.rows] == [
        "complete",
        "complete",
        "failed",
        "complete",
        "complete",
    ]
    assert "its process was lost each time (BrokenProcessPool" in summary.failed[0]["error"]


def test_a_grown_grid_keeps_its_trials(tmp_path):
    """Appended values run, under new numbers; what had finished keeps number and row."""
    study = write_study(tmp_path, "[axes]\ninput_bits = [8, 16]\noutput_bits = [6]")
    before = sweep(study, run_trial=quick).rows
    grown = write_study(tmp_path, "[axes]\ninput_bits = [8, 12, 16]\noutput_bits = [6, 8]")
    summary = sweep(grown, run_trial=quick)
    assert summary.ran == 4
    assert summary.rows[:2] == before
    assert [row["trial"] for row in summary.rows] == list(range(6))
    assert sweep(grown, run_trial=quick).ran == 0
    assert len(optuna_trials(grown)) == 6
    with pytest.raises(InputError, match=r"axes\.input_bits: \[8, 16\]; .* begun with \[8, 12, 16\]"):
        sweep(write_study(tmp_path, "[axes]\ninput_bits = [8, 16]\noutput_bits = [6]"), run_trial=quick)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[run]\nimages = 5\n" + GRID, "run.images"),
        (GRID + "lanes = [1, 2]", "axes"),
        ("[study]\nseed = 1\n" + GRID, "study.seed"),
        (SAMPLED.format(sampler="tpe", trials=3), "study.sampler"),
    ],
)
def test_another_study_file_is_refused_and_nothing_touched(tmp_path, text, key):
    """The key that differs is named; the folder stays as it is, byte for byte."""
    study = write_study(tmp_path)
    sweep(study, run_trial=quick)
    before = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"s\.toml: {key}: .*the study was begun with"):
        sweep(write_study(tmp_path, text), run_trial=quick)
    assert {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("sampler", ["random", "nsga2", "tpe"])
def test_a_sampler_is_asked_and_told(tmp_path, sampler):
    """As many trials as the file wants, inside the ranges, told to Optuna; more can be asked for later."""
    study = write_study(tmp_path, SAMPLED.format(sampler=sampler, trials=12))
    summary = sweep(study, run_trial=quick)
    assert [row["trial"] for row in summary.rows] == list(range(12))
    assert all(4 <= row["output_bits"] <= 12 and 0.01 <= row["within"] <= 1 for row in summary.rows)
    assert len({row["within"] for row in summary.rows[:10]}) == 10  # the first generation is random
    more = sweep(write_study(tmp_path, SAMPLED.format(sampler=sampler, trials=15)), run_trial=quick)
    assert more.ran == 3
    assert more.rows[:12] == summary.rows
    assert [trial.values for trial in optuna_trials(study)] == [
        [row["accuracy_bit_true"], row["area"]] for row in more.rows
    ]


def test_an_interrupted_sampler_goes_on_with_the_trials_it_was_asked_for(tmp_path):
    """A trial that was asked for and has no result runs under its number and parameters."""
    whole = sweep(write_study(tmp_path, SAMPLED.format(sampler="random", trials=8), "whole"), run_trial=quick)
    study = write_study(tmp_path, SAMPLED.format(sampler="random", trials=4))
    sweep(study, run_trial=quick)
    # As a kill leaves it: asked for, in Optuna's storage, and no result.
    database = f"sqlite:///{study.folder / 'optuna.sqlite3'}"
    from hwnorm.sweep.book import Book

    grown = write_study(tmp_path, SAMPLED.format(sampler="random", trials=8))
    number, parameters = Book(grown, new=False).ask()
    assert number == 4
    summary = sweep(grown, run_trial=quick)
    assert {name: summary.rows[4][name] for name in parameters} == parameters
    told = optuna.load_study(study_name="s", storage=database).get_trials()
    assert [trial.state.name for trial in told] == ["COMPLETE"] * 8
    columns = ["trial", *study.columns]
    assert [[row[c] for c in columns] for row in summary.rows] == [
        [row[c] for c in columns] for row in whole.rows
    ]


def test_settings_vary_together_in_a_table(tmp_path):
    """An axis of tables: each its own settings, a column for each of them."""
    text = '[run]\nmodel = "builtin"\n[axes]\nbudget = [{ within = 0.5 }, { total_area = 300.0, lanes = 2 }]'
    study = write_study(tmp_path, text)
    summary = sweep(study, run_trial=quick)
    found = [(row["within"], row["total_area"], row["lanes"]) for row in summary.rows]
    assert found == [(0.5, None, 1), (RunSettings().within, 300.0, 2)]


def test_one_process_at_a_time(tmp_path):
    """While one sweeps, another is told so."""
    study = write_study(tmp_path)
    with locked(study), pytest.raises(InputError, match="another process runs this study"):
        sweep(study, run_trial=quick)


def test_a_folder_that_is_no_studys_is_left_alone(tmp_path):
    """What lies there under the study's name is somebody's."""
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="no study's"):
        sweep(write_study(tmp_path), run_trial=quick)
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["thesis.tex"]


SCRIPT = """
import sys
from pathlib import Path
import synthetic_trials
from hwnorm.sweep.study import read_study
from hwnorm.sweep.sweep import sweep
if __name__ == "__main__":
    sweep(read_study(Path(sys.argv[1])), jobs=2, run_trial=getattr(synthetic_trials, sys.argv[2]))
"""


def start(study, trial: str) -> subprocess.Popen:
    """A sweep in a process of its own."""
    script = study.path.with_name("script.py")
    script.write_text(SCRIPT)
    path = os.pathsep.join(str(Path(__file__).parents[i]) for i in (1, 2))
    command = [sys.executable, str(script), str(study.path), trial]
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Started in the background of a shell, tests ignore SIGINT, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def results(study) -> dict[str, int]:
    """The results that are there, and when they were written."""
    found = study.folder.glob("trials/*/result.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def test_killed_and_gone_on_with_it_ends_with_the_same_table(tmp_path):
    """kill -9 of the sweep three times: the table is as without, and no finished trial ran again."""
    reference = write_study(tmp_path, name="whole")
    sweep(reference, jobs=2, run_trial=quick)
    study = write_study(tmp_path)
    for least in (2, 7, 13):
        process = start(study, "slow")
        wait_for(lambda least=least: len(results(study)) >= least)
        process.kill()
        process.wait()
        before = results(study)
        assert len(before) < 24
    sweep(study, jobs=2, run_trial=quick)
    after = results(study)
    assert {name: after[name] for name in before} == before
    assert without_times(study.results) == without_times(reference.results)
    told = {trial.user_attrs["trial"] for trial in optuna_trials(study)}
    assert told == set(range(24))
    assert len(optuna_trials(study)) == 24


def test_ctrl_c_ends_it_and_keeps_what_is_finished(tmp_path):
    """The sweep stops, its processes too, and goes on later with what is left."""
    study = write_study(tmp_path)
    process = start(study, "slow")
    wait_for(lambda: len(results(study)) >= 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    before = results(study)
    assert 3 <= len(before) < 24
    summary = sweep(study, run_trial=quick)
    assert summary.ran == 24 - len(before)


def test_a_result_says_what_it_is(tmp_path):
    """``result.json`` is an artefact like the others, with the row's fields."""
    study = write_study(tmp_path, "[axes]\nseed = [3]")
    (row,) = sweep(study, run_trial=quick).rows
    data = json.loads((study.trial(0) / "result.json").read_text())
    assert (data["kind"], data["seed"], data["trial"]) == ("result", 3, 0)
    assert all(data[name] == value for name, value in row.items())


def test_a_missing_package_is_named_with_what_installs_it(tmp_path, monkeypatch):
    """Without the extra: one line, nothing written."""
    study = write_study(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pyarrow, which is not installed; pip install 'hwnorm\[sweep\]'"):
        sweep(study, run_trial=quick)
    assert not study.folder.exists()


def test_the_view_tells_how_far_it_is(tmp_path):
    """Done, failed, and the front; the time left only while there is some."""
    study = write_study(tmp_path)
    view = View("s", 24)
    rows = sweep(study, run_trial=quick).rows
    for row in rows[:10]:
        view.add(row)
    view.add(rows[10] | {"state": "failed"})
    assert "s: 11 of 24 trials, 1 failed, about 0 min" in str(view.table().title)
    best = max(rows[:10], key=lambda row: row["accuracy_bit_true"])
    shown = list(view.table().columns[0].cells)
    assert str(best["trial"]) in shown
    assert str(rows[10]["trial"]) not in shown
