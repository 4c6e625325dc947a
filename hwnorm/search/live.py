"""The table that shows a search while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.live import Live
from rich.table import Table

from hwnorm.progress import err
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
        with self._live:
            yield

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
