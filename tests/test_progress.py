"""Progress where there is no terminal: plain lines now and then; and bars that end full."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from hwnorm import progress
from hwnorm.progress import duration, progress_bar, track


@pytest.fixture
def said(monkeypatch):
    """What goes to standard error, which is a file."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "err", Console(file=text, width=100, markup=False))
    return text


def test_a_log_is_told_how_far_it_is_and_what_is_left(said, monkeypatch):
    monkeypatch.setattr(progress, "TELL_S", 0.02)
    with progress_bar() as bar:
        task = bar.add_task("fit [layers]", total=8)
        bar.add_task("count", total=None)
        bar.advance(task, 2)
        time.sleep(0.2)
    lines = said.getvalue().splitlines()
    assert any(
        line.startswith("fit [layers]: 2 of 8, 0 min 0") and line.endswith(" s left") for line in lines
    )
    assert "count: 0" in lines


def test_a_short_step_says_nothing_before_its_end(said):
    assert list(track(range(43), "report", 43)) == list(range(43))
    (line,) = said.getvalue().splitlines()
    assert "43/43" in line


def test_durations():
    assert [duration(s) for s in (9.6, 150, 3900)] == ["0 min 10 s", "2 min 30 s", "1 h 05 min"]
