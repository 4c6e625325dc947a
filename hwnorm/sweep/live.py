"""What a sweep shows while it runs: how far it is, and the front so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.live import Live
from rich.table import Table

from hwnorm.progress import duration, err, telling
from hwnorm.sweep.pareto import front_rows, on_front

#: Seconds between two views.
REFRESH_S = 0.5
#: So many points of the front are shown, spread over it.
SHOWN = 12


class View:
    """Trials done, failed and left, the time that is left, and the front so far."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total = name, total
        self._done = self._failed = self._now = 0
        self._fronts: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._began = time.monotonic()
        self._shown_at = 0.0
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while in the block."""
        self._began = time.monotonic()
        self._live = Live(self.table(), console=err, auto_refresh=False, vertical_overflow="visible")
        try:
            with self._live, telling(lambda: [self._title()]):
                yield
                self._live.update(self.table(), refresh=True)
        finally:
            if not err.is_terminal:
                err.line()  # which the last view lacks there

    def add(self, row: dict[str, Any], now: bool = True) -> None:
        """A trial has finished; ``now``: not in an earlier sweep."""
        self._done += 1
        self._now += now
        self._failed += row["state"] == "failed"
        if on_front(row):
            # The front of the front and one more is that of all: the cost does not grow with the trials.
            key = row["accuracy_name"], row["unit"]
            self._fronts[key] = front_rows([*self._fronts.get(key, []), row])

    def refresh(self) -> None:
        """Show how things stand, unless that was a moment ago."""
        if self._live is not None and time.monotonic() - self._shown_at >= REFRESH_S:
            self._shown_at = time.monotonic()
            self._live.update(self.table(), refresh=True)

    def _title(self) -> str:
        left = self._total - self._done
        title = f"{self._name}: {self._done} of {self._total} trials, {self._failed} failed"
        if left and self._now:
            title += f", about {duration((time.monotonic() - self._began) / self._now * left)} left"
        return title

    def table(self) -> Table:
        """The view as of now."""
        table = Table(title=self._title(), title_justify="left", box=box.SIMPLE_HEAD, header_style="bold")
        for heading in ("front so far: trial", "accuracy, bit-true", "area", "latency"):
            table.add_column(heading, justify="right", no_wrap=True)
        for (name, unit), rows in self._fronts.items():
            step = -(-len(rows) // SHOWN)
            for row in rows[::step]:
                table.add_row(
                    str(row["trial"]),
                    f"{row['accuracy_bit_true']:.4g} {'%' if name == 'top-1' else name}",
                    f"{row['area']:g} {unit}",
                    str(row["latency"]),
                )
        return table
