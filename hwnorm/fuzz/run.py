"""A fuzzing run: batches of random cases in worker processes; failures shrunk and kept as files."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress, TaskID

from hwnorm.errors import InputError
from hwnorm.files import digest, read_artefact, write_artefact
from hwnorm.fuzz.case import Case, Failure, Outcome, Refused
from hwnorm.fuzz.check import TOOLS, check_cases, tools_for
from hwnorm.fuzz.generate import draw_case
from hwnorm.fuzz.shrink import shrink
from hwnorm.progress import progress_bar
from hwnorm.verify.toolchain import cache_folder, find_toolchain
from hwnorm.workers import workers

#: Cases that share one Verilated model and one HLS program.
BATCH = 100
#: So many failures of one kind are shrunk; the others are kept as they were drawn.
_SHRUNK = 2


@dataclass
class Summary:
    """What became of the cases of a run so far."""

    passed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: dict[Path, Failure] = field(default_factory=dict)
    interrupted: bool = False

    def lines(self) -> list[str]:
        """The summary as text: counts, refusals by reason, and failures with their files."""
        refused, failed = self.refused.total(), len(self.failed)
        until = " until it was interrupted" if self.interrupted else ""
        found = [
            f"{self.passed + refused + failed} cases{until}: "
            f"{self.passed} passed, {refused} refused, {failed} failed",
            *(f"  refused {count}: {reason}" for reason, count in self.refused.most_common()),
        ]
        for path, failure in self.failed.items():
            found += [f"  FAILED {failure.kind}: {path}", f"    {failure.message.splitlines()[0]}"]
        return found


def fuzz(count: int, seed: int, jobs: int, folder: Path) -> Summary:
    """Draw and check ``count`` cases; write a file for each failure into ``folder``.

    The cases and what becomes of them do not depend on ``jobs``. Ctrl-C ends the run early, with the
    summary so far.

    Raises:
        InputError: a tool is missing.
    """
    find_toolchain()
    run = _Run(seed, folder)
    # Small runs are spread over all processes.
    size = max(1, min(BATCH, -(-count // jobs)))
    batches = iter([range(start, min(start + size, count)) for start in range(0, count, size)])
    with tempfile.TemporaryDirectory(prefix="hwnorm-fuzz.") as scratch, progress_bar() as bar:
        task = bar.add_task(f"fuzz, seed {seed}", total=count)
        try:
            with workers(jobs) as pool:
                run.through(pool, jobs, batches, scratch, bar, task)
        except KeyboardInterrupt:
            run.summary.interrupted = True
    return run.summary


@dataclass
class _Run:
    seed: int
    folder: Path
    summary: Summary = field(default_factory=Summary)
    kinds: Counter[str] = field(default_factory=Counter)

    def through(
        self,
        pool: Executor,
        jobs: int,
        batches: Iterator[range],
        scratch: str,
        bar: Progress,
        task: TaskID,
    ) -> None:
        """Keep all processes busy, with batches and with failures to shrink, until none is left."""
        running: set[Future[Sequence[tuple[int, Case, Outcome]]]] = set()
        while True:
            while len(running) < jobs and (batch := next(batches, None)) is not None:
                running.add(pool.submit(_check_batch, self.seed, batch, scratch))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                for index, case, outcome in future.result():
                    path = self.folder / f"failure_{self.seed}_{index}.json"
                    if path in self.summary.failed:  # the same failure, shrunk
                        assert isinstance(outcome, Failure)
                        self.keep(path, case, outcome)
                        continue
                    bar.advance(task)
                    if outcome is None:
                        self.summary.passed += 1
                    elif isinstance(outcome, Refused):
                        self.summary.refused[outcome.reason] += 1
                    else:
                        self.keep(path, case, outcome)
                        self.kinds[outcome.kind] += 1
                        if self.kinds[outcome.kind] <= _SHRUNK:
                            running.add(pool.submit(_shrink_failure, index, case, outcome, scratch))

    def keep(self, path: Path, case: Case, failure: Failure) -> None:
        """Write the file that :func:`replay` reads."""
        self.summary.failed[path] = failure
        body = {"case": case.to_json(), "failure": failure.kind, "message": failure.message}
        write_artefact(path, "fuzz-failure", self.seed, {"case": digest(case.to_json())}, body)


def replay_file(path: Path) -> tuple[list[str], bool]:
    """Check the case in a failure's file again; what became of it as text, and whether it failed.

    Raises:
        InputError: the file holds no case, or a tool is missing.
    """
    data = read_artefact(path, "fuzz-failure")
    try:
        case = Case.from_json(data.get("case"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    with tempfile.TemporaryDirectory(prefix="hwnorm-fuzz.") as scratch, _everything_in(scratch):
        (outcome,) = check_cases([case], find_toolchain(), TOOLS)
    what = f"{case.expression}, {case.input} to {case.output}"
    match outcome:
        case Failure(kind, message):
            return [f"{path}: {what}: FAILED {kind}", message], True
        case Refused(reason):
            return [f"{path}: {what}: refused, {reason}"], False
    return [f"{path}: {what}: passed"], False


def _check_batch(seed: int, batch: range, scratch: str) -> list[tuple[int, Case, Outcome]]:
    cases = [draw_case(seed, index) for index in batch]
    with _everything_in(scratch):
        return list(zip(batch, cases, check_cases(cases, find_toolchain(), TOOLS), strict=True))


def _shrink_failure(
    index: int, case: Case, failure: Failure, scratch: str
) -> list[tuple[int, Case, Outcome]]:
    toolchain, tools = find_toolchain(), tools_for(failure)
    messages = {case: failure}

    def same_failure(cases: Sequence[Case]) -> list[bool]:
        outcomes = check_cases(cases, toolchain, tools)
        for tried, outcome in zip(cases, outcomes, strict=True):
            if isinstance(outcome, Failure) and outcome.kind == failure.kind:
                messages[tried] = outcome
        return [tried in messages for tried in cases]

    with _everything_in(scratch):
        smallest = shrink(case, same_failure)
    return [(index, smallest, messages[smallest])]


@contextmanager
def _everything_in(scratch: str) -> Iterator[None]:
    """Temporary files and cached models go into ``scratch``: nobody builds the same model again.

    Verilator's run-time libraries stay in the cache: every model is linked with them.
    """
    before = tempfile.tempdir, os.environ.get("HWNORM_CACHE")
    for name in ("fuzz", "library"):
        kept, link = cache_folder().absolute() / name, Path(scratch) / "cache" / name
        kept.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            link.symlink_to(kept)
    tempfile.tempdir = scratch
    os.environ["HWNORM_CACHE"] = str(Path(scratch) / "cache")
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            del os.environ["HWNORM_CACHE"]
        else:
            os.environ["HWNORM_CACHE"] = before[1]
