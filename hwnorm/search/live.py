"""The table that shows a search while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.live import Live
from rich.table import Table

from hwnorm.progress import duration, err, telling
from hwnorm.search.tasks import Job


class LiveTable:
    """A line a layer: generation, best R2 beside its ceiling, cheapest candidate, hypervolume."""

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = jobs
        self._done: dict[str, str] = {}
        self._live = Live(self.table(), console=err, auto_refresh=False, vertical_overflow="visible")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while in the block."""
        self._began = time.monotonic()
        with self._live, telling(lambda: [self._line()]):
            yield

    def _line(self) -> str:
        """How far the search is: layers that are done, generations of all, and what is left."""
        ran = sum(s["generation"] for job in self._jobs for s in job.states if s is not None)
        every = sum(len(job.states) * job.settings.generations for job in self._jobs)
        line = f"search: {len(self._done)} of {len(self._jobs)} layers, {ran} of {every} generations"
        if not 0 < ran < every:
            return line
        return f"{line}, {duration((time.monotonic() - self._began) / ran * (every - ran))} left"

    def refresh(self) -> None:
        """Show what the jobs' states are now."""
        self._live.update(self.table(), refresh=True)

    def done(self, layer: str, points: int) -> None:
        """A layer's front is written."""
        self._done[layer] = str(points)
        self.refresh()

    def table(self) -> Table:
        """The table as of now."""
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        table.add_column("layer", no_wrap=True)
        for heading in ("gen.", "best R2", "ceiling", "least cost", "hypervolume", "front"):
            table.add_column(heading, justify="right", no_wrap=True)
        for job in self._jobs:
            states = [state for state in job.states if state is not None]
            row = ["0", "", "", "", ""]
            if states:
                candidates = [c for state in states for c in state["archive"]]
                row = [
                    str(min(s["generation"] if s else 0 for s in job.states)),
                    f"{max((c['r2'] for c in candidates), default=0.0):.4f}",
                    f"{job.ceiling_r2:.4f}",
                    f"{min((c['cost'] for c in candidates), default=0.0):g}",
                    f"{max(state['hypervolume'][-1] for state in states):.1f}",
                ]
            table.add_row(job.layer, *row, self._done.get(job.layer, ""))
        return table
