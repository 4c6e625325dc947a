"""The store: what one run made another gets, whole; who needs the same at the same time waits."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from hwnorm.runs import store
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.markers import Emitted, SearchStates
from hwnorm.runs.products import PACKAGES, SEARCH, VERDICTS
from hwnorm.runs.settings import RunSettings
from hwnorm.runs.store import Store

ORIGIN, OTHER = {"choice": "abc"}, {"choice": "abd"}


def emitted(*tops: str) -> Emitted:
    return Emitted(tops=tops, seal="")


def run_folder(folder: Path, name: str, **settings) -> RunFolder:
    """A run that has begun, with the store that all here share."""
    run = RunFolder.create(folder / name, RunSettings(**settings), force=False)
    run.store = Store(folder / "store")
    run.start()
    return run


def test_a_run_gets_what_another_made(tmp_path):
    """By path, kind and what it was made from, with what lies beside it; another origin is another entry."""
    one, two = run_folder(tmp_path, "one"), run_folder(tmp_path, "two", seed=7)
    beside = [(run.path / "weights.safetensors",) for run in (one, two)]
    assert not one.has(PACKAGES, ORIGIN, beside=beside[0])
    beside[0][0].write_bytes(b"weights")
    one.write(PACKAGES, emitted("a"), ORIGIN, beside=beside[0])
    assert two.has(PACKAGES, ORIGIN, beside=beside[1])
    assert beside[1][0].read_bytes() == b"weights"
    assert two.at(PACKAGES).read_bytes() == one.at(PACKAGES).read_bytes()
    assert two.is_current(PACKAGES, ORIGIN)
    assert not two.has(PACKAGES, OTHER, beside=beside[1])
    assert not two.has(VERDICTS, ORIGIN)


def test_folders_come_along(tmp_path):
    """Packages and the file that says what they were made from, which is there last."""
    one, two = run_folder(tmp_path, "one"), run_folder(tmp_path, "two")
    assert not one.has(PACKAGES, ORIGIN)
    (one.package("top") / "rtl").mkdir(parents=True)
    (one.package("top") / "rtl" / "top.v").write_text("module top; endmodule")
    one.write(PACKAGES, emitted("top"), ORIGIN, beside=(one.at(PACKAGES).parent,))
    assert two.has(PACKAGES, ORIGIN)
    assert (two.package("top") / "rtl" / "top.v").read_text() == "module top; endmodule"


def test_half_of_an_entry_is_not_current(tmp_path, monkeypatch):
    """Stopped after any number of files, a run has no artefact that tells of the ones that are not there."""
    one, two = run_folder(tmp_path, "one"), run_folder(tmp_path, "two")
    assert not one.has(PACKAGES, ORIGIN)
    for name in ("a.v", "b.v"):
        (one.package("top") / name).parent.mkdir(parents=True, exist_ok=True)
        (one.package("top") / name).write_text("module")
    one.write(PACKAGES, emitted("top"), ORIGIN, beside=(one.at(PACKAGES).parent,))
    place, left = store._place, [2]

    def stopping(*args):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        place(*args)

    monkeypatch.setattr(store, "_place", stopping)
    with pytest.raises(KeyboardInterrupt):
        two.has(PACKAGES, ORIGIN)
    assert len(list(two.package("top").iterdir())) == 2
    assert not two.is_current(PACKAGES, ORIGIN)


def test_writing_again_leaves_the_others_as_they_were(tmp_path):
    """Files are replaced, never changed in place: a link of another run holds what it held."""
    one, two = run_folder(tmp_path, "one"), run_folder(tmp_path, "two")
    assert not one.has(PACKAGES, ORIGIN)
    one.write(PACKAGES, emitted("a"), ORIGIN)
    assert two.has(PACKAGES, ORIGIN)
    before = two.at(PACKAGES).read_bytes()
    one.write(PACKAGES, emitted("b"), OTHER)
    assert two.at(PACKAGES).read_bytes() == before
    three = run_folder(tmp_path, "three")
    assert three.has(PACKAGES, ORIGIN)
    assert three.at(PACKAGES).read_bytes() == before


def test_only_what_was_missed_is_shared(tmp_path):
    """States of a search are the run's own: nobody asked the store for them."""
    run = run_folder(tmp_path, "one")
    run.write(SEARCH, SearchStates(states=(None,)), ORIGIN, "a")
    assert not (tmp_path / "store").exists()


def _make(folder: Path, name: str, ready, seconds: float) -> None:
    """Get an artefact or make it; notes that it was made."""
    run = run_folder(folder, name)
    if not run.has(PACKAGES, ORIGIN):
        ready.set()
        time.sleep(seconds)
        (folder / f"made.{name}").touch()
        run.write(PACKAGES, emitted(name), ORIGIN)


@pytest.mark.parametrize("killed", [False, True])
def test_one_makes_it_and_the_other_waits(tmp_path, killed):
    """Two processes, the second while the first is at it: made once; by the second if the first is killed."""
    context = multiprocessing.get_context("spawn")
    ready = [context.Event(), context.Event()]
    first = context.Process(target=_make, args=(tmp_path, "first", ready[0], 600 if killed else 2))
    first.start()
    assert ready[0].wait(60)
    second = context.Process(target=_make, args=(tmp_path, "second", ready[1], 0))
    second.start()
    if killed:
        time.sleep(1)
        os.kill(first.pid, 9)
    first.join(60)
    second.join(60)
    assert second.exitcode == 0
    assert [path.name for path in tmp_path.glob("made.*")] == ["made.second" if killed else "made.first"]
    assert (tmp_path / "second" / "packages" / ".made_from").is_file()
