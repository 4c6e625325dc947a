"""Worker processes: Ctrl-C reaches their parent, always, and never them."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor

import pytest

from hwnorm.workers import processes


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
