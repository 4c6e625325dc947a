"""Progress bars with a time estimate, on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

#: Results go to ``out``; progress, warnings and errors to ``err``. Much of it is the user's own, such as
#: paths and names of layers: brackets and colons in it mean nothing.
out = Console(markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False)


def warn(what: str | None) -> None:
    """Say on standard error, loudly, what makes results doubtful; nothing where it is None."""
    if what is not None:
        err.print(f"WARNING: {what}", style="bold red", highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """A rich progress display: label, bar, count, elapsed and estimated remaining time."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=err,
    )


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Yield ``items`` behind a progress bar."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=label)
