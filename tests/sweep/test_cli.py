"""The command `hwnorm sweep`: what it prints, and how it exits."""

from __future__ import annotations

from pathlib import Path

from synthetic_trials import GRID, failing, quick, write_study
from typer.testing import CliRunner

from hwnorm.cli import app
from hwnorm.sweep.sweep import sweep


def invoke(*args: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["sweep", *map(str, args)])
    return result.exit_code, result.stdout, result.stderr


def test_a_finished_study_says_so(tmp_path):
    """One line with how many trials there are and where their table is; nothing on standard error."""
    study = write_study(tmp_path)
    sweep(study, run_trial=quick)
    code, printed, told = invoke(study.path)
    assert (code, told) == (0, "")
    assert printed == f"s: 24 trials, 0 of them run now, 0 failed; table: {study.results}\n"


def test_failed_trials_are_named_and_make_the_command_fail(tmp_path):
    """Each with its error, and how to run them again."""
    study = write_study(tmp_path)
    sweep(study, run_trial=failing)
    code, printed, _ = invoke(study.path)
    assert code == 1
    assert printed.count("failed: ValueError: ten bits are too many") == 6
    assert "--retry-failed" in printed


def test_a_bad_study_file_is_one_line(tmp_path):
    """Exit code 2, the file and the key; no folder is made."""
    path = tmp_path / "s.toml"
    path.write_text(GRID + "outptu_bits = [3]")
    code, printed, told = invoke(path)
    assert (code, printed) == (2, "")
    assert (
        told == f"hwnorm: {path}: axes.outptu_bits: no setting of a run; closest: output_bits, input_bits\n"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.toml"]


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    """The address; the study has begun, and no trial has run."""
    study = write_study(tmp_path)
    code, printed, told = invoke(study.path, "--cluster", "tcp://127.0.0.1:9")
    assert (code, printed) == (2, "")
    assert told.startswith("hwnorm: option --cluster: no Dask scheduler at tcp://127.0.0.1:9")
    assert len(told.splitlines()) == 1
    assert not list(study.folder.glob("trials/*"))
