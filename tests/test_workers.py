"""Worker processes: Ctrl-C reaches their parent, always, and never them; they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path

import pytest

from hwnorm.workers import processes, processes_apart


@pytest.fixture(autouse=True)
def heard():
    """This process hears SIGINT, though it be started in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted() -> bool:
    """Send this process what Ctrl-C sends, and say whether it was heard."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        return True
    return False


def test_a_process_does_not_hear_ctrl_c():
    """Its parent decides when it ends."""
    with processes(1) as pool:
        assert pool.submit(interrupted).result() is False


def test_ctrl_c_while_a_task_is_submitted_is_not_lost(monkeypatch):
    """It comes as soon as the task is submitted."""
    submit = ProcessPoolExecutor.submit

    def slow(self, task, /, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        return submit(self, task, *args, **kwargs)

    with processes(1) as pool:
        pool.submit(interrupted).result()
        monkeypatch.setattr(ProcessPoolExecutor, "submit", slow)
        with pytest.raises(KeyboardInterrupt):
            pool.submit(interrupted)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def end(number: int) -> int:
    """End this process if the number is odd."""
    if number % 2:
        os._exit(1)
    return number


def test_a_process_apart_takes_no_others_task_along():
    """Of four tasks on two processes two end theirs: these alone are lost, and more can be run."""
    with processes_apart(2) as pool:
        for _ in range(2):
            futures = [pool.submit(end, number) for number in (0, 1)]
            assert futures[0].result() == 0
            with pytest.raises(BrokenExecutor):
                futures[1].result()
        assert pool.submit(end, 2).result() == 2


PARENT = """
import os, sys, time
from concurrent.futures import wait
from hwnorm.workers import processes
def work(path):
    open(path, "w").write(str(os.getpid()))
    time.sleep(600)
if __name__ == "__main__":
    with processes(1) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


def test_processes_end_with_a_parent_that_was_killed(tmp_path):
    """kill -9 of the parent: the child that works for nobody ends too."""
    (tmp_path / "parent.py").write_text(PARENT)
    pid = tmp_path / "pid"
    parent = subprocess.Popen(
        [sys.executable, "parent.py", pid],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    for _ in range(1200):
        if pid.is_file() and pid.read_text():
            break
        time.sleep(0.05)
    child = int(pid.read_text())
    parent.kill()
    parent.wait()
    for _ in range(200):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("the child still runs")
