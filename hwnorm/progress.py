"""Progress with a time estimate, on standard error: bars, or plain lines where that is no terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

#: Seconds between two lines of progress where there is no terminal.
TELL_S = 30.0

#: Results go to ``out``; progress, warnings and errors to ``err``. Much of it is the user's own, such as
#: paths and names of layers: brackets and colons in it mean nothing.
out = Console(markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False)


def warn(what: str | None) -> None:
    """Say on standard error, loudly, what makes results doubtful; nothing where it is None."""
    if what is not None:
        err.print(f"WARNING: {what}", style="bold red", highlight=False, soft_wrap=True)


class _Bar(Progress):
    """A progress display; where the output is no terminal, a plain line every half minute."""

    _telling: AbstractContextManager[None] | None = None

    def start(self) -> None:
        super().start()
        self._telling = telling(self._lines)
        self._telling.__enter__()

    def stop(self) -> None:
        if self._telling is not None:
            self._telling.__exit__(None, None, None)
            self._telling = None
        super().stop()

    def _lines(self) -> list[str]:
        lines = []
        for task in self.tasks:
            if task.finished:
                continue
            count = f"{task.completed:g}" + ("" if task.total is None else f" of {task.total:g}")
            left = task.time_remaining
            if left is None and task.completed and task.total is not None and task.elapsed is not None:
                left = task.elapsed / task.completed * (task.total - task.completed)
            lines.append(
                f"{task.description}: {count}" + ("" if left is None else f", {duration(left)} left")
            )
        return lines


@contextmanager
def telling(lines: Callable[[], list[str]]) -> Iterator[None]:
    """While in the block print ``lines()`` every half minute, where the output is no terminal.

    A log, a pipeline of checks and a cluster's job show nothing of a display that moves.
    """
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(TELL_S):
            for line in lines():
                err.print(line, highlight=False, soft_wrap=True)

    if err.is_terminal:
        yield
        return
    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def duration(seconds: float) -> str:
    """For people: ``1 h 05 min`` or ``2 min 30 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def progress_bar() -> Progress:
    """A rich progress display: label, bar, count, elapsed and estimated remaining time."""
    return _Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
    )


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Yield ``items`` behind a progress bar, which is full when they are all done with."""
    with progress_bar() as bar:
        task = bar.add_task(label, total=total)
        for item in items:
            yield item
            bar.advance(task)
