"""How tests are shared out among processes, and how many slow ones were left out.

Under ``--dist loadgroup`` tests that ask for one shared fixture run in one process, which builds it once;
every other test goes wherever there is room. (xdist's own groups are marks, and need a pytest before 9.2.)
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
#: Scopes of fixtures that several tests share.
SHARED = {"session", "package", "module"}


def shared_fixtures(item: Any) -> list[str]:
    """The fixtures, as file and name, that tests share with this one, less those of which others are made.

    Those of ``tests/conftest.py`` do not count: every process has its own.
    """
    found = {name: made[-1] for name, made in item._fixtureinfo.name2fixturedefs.items() if made}
    files = {
        name: Path(fixture.func.__code__.co_filename)
        for name, fixture in found.items()
        if fixture.scope in SHARED
    }
    ours = {name for name, file in files.items() if TESTS in file.parents and file != TESTS / "conftest.py"}
    parts = {part for name in ours for part in found[name].argnames}
    return sorted(f"{files[name].relative_to(TESTS)}::{name}" for name in ours - parts)


def groups(wanted: dict[str, list[str]]) -> dict[str, str]:
    """The group of each test that shares fixtures: one for all that are linked by what they share."""
    leader: dict[str, str] = {}

    def find(fixture: str) -> str:
        while (above := leader.setdefault(fixture, fixture)) != fixture:
            fixture = above
        return fixture

    for fixtures in wanted.values():
        for fixture in fixtures[1:]:
            leader[find(fixture)] = find(fixtures[0])
    return {test: find(fixtures[0]) for test, fixtures in wanted.items() if fixtures}


class Controller:
    """In the process that hands out the tests: gets the groups from the workers by way of a file."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="hwnorm-tests.")
        self.file = Path(self.folder.name) / "groups.json"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["groups"] = str(self.file)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        if config.getoption("dist") != "loadgroup":
            return None
        from xdist.scheduler import LoadScopeScheduling

        file = self.file

        class Scheduling(LoadScopeScheduling):
            def schedule(self) -> None:
                if self.collection is None:
                    self.groups = json.loads(file.read_text(encoding="utf-8"))
                super().schedule()

            def _split_scope(self, nodeid: str) -> str:
                return self.groups.get(nodeid, nodeid)

        return Scheduling(config, log)


class LeftOut:
    """Counts the slow tests that ``-m`` left out, here or in the workers, and says so at the end."""

    def __init__(self) -> None:
        self.count = 0

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.count += sum(item.get_closest_marker("slow") is not None for item in items)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["slow_left_out"] = self.count

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # Every worker collects all tests.
        self.count = max(self.count, getattr(node, "workeroutput", {}).get("slow_left_out", 0))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.count:
            terminalreporter.write_line(f"{self.count} slow tests left out; make test-all runs them")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LeftOut(), "left-out")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Controller(), "controller")


@pytest.hookimpl(tryfirst=True)  # xdist tells the controller there that all is collected
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave the groups where the controller looks for them; every worker has the same."""
    if (place := getattr(session.config, "workerinput", {}).get("groups")) is not None:
        beside = Path(f"{place}.{os.getpid()}")
        made = groups({item.nodeid: shared_fixtures(item) for item in session.items})
        beside.write_text(json.dumps(made), encoding="utf-8")
        beside.replace(place)
