"""Sweeps on clusters: a real Dask scheduler with worker processes, and queueing systems that are played."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from synthetic_trials import quick, runs, wait_for, waiting, write_study

from hwnorm.errors import InputError
from hwnorm.sweep.sweep import sweep
from hwnorm.sweep.table import read_table
from hwnorm.workers import _check_workers

pytest.importorskip("distributed")

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """What starts here finds the trials of the tests and this checkout."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD", "spawn")


@pytest.fixture
def scheduler(tmp_path, environment):
    """The address of a scheduler in a process of its own, with two worker processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    started = []

    def start(*command: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]], **quiet
            )
        )

    start("scheduler", "--host", address, "--no-dashboard")
    for _ in range(2):
        start("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60")
    yield address
    for process in started:
        process.kill()
        process.wait()


def test_a_worker_killed_in_mid_trial_loses_that_trial_alone(tmp_path, scheduler):
    """Two worker processes; one is killed in a trial, which the other runs again; the rest ran once."""
    study = write_study(tmp_path, "[axes]\ninput_bits = [8, 10, 12, 14, 16]\noutput_bits = [6, 8]")
    found = []
    thread = threading.Thread(target=lambda: found.append(sweep(study, cluster=scheduler, run_trial=waiting)))
    thread.start()
    victim = study.trial(4)
    wait_for(lambda: runs(victim) == 1)
    os.kill(int((victim / "ran").read_text()), signal.SIGKILL)
    thread.join(120)
    assert not thread.is_alive()
    (summary,) = found
    assert (len(summary.rows), summary.failed) == (10, [])
    counts = {number: runs(study.trial(number)) for number in range(10)}
    assert counts.pop(4) == 2
    assert set(counts.values()) == {1}


def test_the_table_is_that_of_processes(tmp_path, scheduler):
    """Whatever runs the trials, the rows are the same but for the seconds."""
    local, remote = write_study(tmp_path, name="local"), write_study(tmp_path, name="remote")
    sweep(local, jobs=2, run_trial=quick)
    sweep(remote, cluster=scheduler, run_trial=quick)
    tables = [[row | {"seconds": 0} for row in read_table(s.results)] for s in (local, remote)]
    assert tables[0] == tables[1]


SUBMIT = """#!{python}
# Runs the script in the background, as a queueing system would on another machine.
import subprocess, sys
script = sys.argv[1] if len(sys.argv) > 1 else "/dev/stdin"
text = open(script).read()
open("{log}", "a").write(text)
out = open("{log}.out", "ab")
quiet = {{"stdout": out, "stderr": out, "stdin": subprocess.DEVNULL}}
job = subprocess.Popen(["bash", "-c", text], start_new_session=True, **quiet)
print(f"Submitted batch job <{{job.pid}}>")
"""
CANCEL = """#!{python}
import os, signal, sys
os.killpg(int(sys.argv[1]), signal.SIGTERM)
"""


def play(folder: Path, submit: str, cancel: str) -> Path:
    """Put commands of a queueing system on the PATH; the file that scripts are logged in."""
    log = folder / "submitted"
    for name, text in ((submit, SUBMIT), (cancel, CANCEL)):
        (folder / name).write_text(text.format(python=sys.executable, log=log))
        (folder / name).chmod(0o755)
    return log


@pytest.mark.parametrize(
    ("name", "submit", "cancel", "line"),
    [("slurm", "sbatch", "scancel", "#SBATCH -p edge"), ("lsf", "bsub", "bkill", "#BSUB -q edge")],
)
def test_a_queueing_system_runs_the_workers(tmp_path, monkeypatch, name, submit, cancel, line):
    """The file's options are in the job scripts, as many as it says are submitted, and all trials run."""
    pytest.importorskip("dask_jobqueue")
    log = play(tmp_path, submit, cancel)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    file = tmp_path / "cluster.toml"
    more = 'lsf_units = "mb"\n' if name == "lsf" else ""
    file.write_text(f'jobs = 2\ncores = 1\nmemory = "1GB"\nqueue = "edge"\ninterface = "lo"\n{more}')
    study = write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    summary = sweep(study, cluster=f"{name}:{file}", run_trial=quick)
    assert (len(summary.rows), summary.failed) == (24, [])
    assert log.read_text().count(line) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = 2\n", "SLURMCluster refuses it"),
        ('cores = 1\nmemory = "1GB"\n', "jobs is None; how many"),
        ('jobs = 2\ncores = 1\nmemory = "1GB"\nqeue = "a"\n', "qeue"),
        ("jobs = \n", "cannot be read as TOML"),
        (None, "cannot be read as TOML"),
    ],
)
def test_a_bad_cluster_file_is_named(tmp_path, monkeypatch, text, message):
    """One line with the file and what is wrong; no trial ran."""
    pytest.importorskip("dask_jobqueue")
    play(tmp_path, "sbatch", "scancel")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    if text is not None:
        (tmp_path / "c.toml").write_text(text)
    study = write_study(tmp_path)
    with pytest.raises(InputError, match=r"option --cluster: .*c\.toml: ") as caught:
        sweep(study, cluster=f"slurm:{tmp_path / 'c.toml'}", run_trial=quick)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (study.folder / "trials").exists()


def test_a_system_without_its_commands_is_named(tmp_path, monkeypatch):
    """The command that is missing."""
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "c.toml").write_text('jobs = 1\ncores = 1\nmemory = "1GB"\n')
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="bsub is not on the PATH"):
        sweep(write_study(tmp_path), cluster=f"lsf:{tmp_path / 'c.toml'}", run_trial=quick)


def test_a_cluster_that_cannot_be_had_begins_no_study(tmp_path):
    """The corrected command, and the corrected file, find nothing that was begun otherwise."""
    study = write_study(tmp_path)
    with pytest.raises(InputError, match=r"option --cluster: no Dask scheduler at tls://127\.0\.0\.1:9"):
        sweep(study, cluster="tls://127.0.0.1:9", run_trial=quick)
    assert not (study.folder / "study.json").exists()
    other = write_study(tmp_path, "[axes]\ninput_bits = [8]")
    assert len(sweep(other, jobs=1, run_trial=quick).rows) == 1


class Scheduler:
    """Of a Dask client what is asked of it first."""

    def __init__(self, workers: dict[str, bool]) -> None:
        self.workers = workers

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if len(self.workers) < count:
            raise TimeoutError

    def run(self, function, text: str) -> dict[str, bool]:
        assert function(text) is True
        return self.workers


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ({}, "the scheduler at tcp://s has no workers; `dask worker tcp://s`"),
        ({"a": True, "b": False}, "at b has no hwnorm"),
    ],
)
def test_a_scheduler_without_workers_that_can_is_told(workers, message):
    with pytest.raises(InputError, match=f"option --cluster: .*{message}"):
        _check_workers(Scheduler(workers), "tcp://s")
    _check_workers(Scheduler({"a": True}), "tcp://s")
