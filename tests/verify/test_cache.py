from __future__ import annotations

import os
import time

from hwnorm.verify import cache


def test_the_simulators_used_longest_ago_go(tmp_path, monkeypatch):
    """Three of 100 bytes where 250 are allowed: the oldest goes, be it a folder or a file."""
    monkeypatch.setenv("HWNORM_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "MOST_BYTES", 250)
    model, program, newest = tmp_path / "models" / "m", tmp_path / "csim" / "p", tmp_path / "csim" / "q"
    model.mkdir(parents=True)
    program.parent.mkdir()
    for hours, path, file in [(9, model, model / "bench"), (8, program, program), (7, newest, newest)]:
        file.write_bytes(bytes(100))
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    cache.use(model)
    cache.prune()
    assert [path.exists() for path in (model, program, newest)] == [True, False, True]


def test_what_was_just_used_stays(tmp_path, monkeypatch):
    """However little is allowed: another process may be running it."""
    monkeypatch.setenv("HWNORM_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "MOST_BYTES", 0)
    program = tmp_path / "csim" / "p"
    program.parent.mkdir()
    program.write_bytes(bytes(100))
    cache.prune()
    assert program.exists()


def test_what_killed_processes_had_begun_goes(tmp_path, monkeypatch):
    """After an hour: until then it may be another process's that is at it."""
    monkeypatch.setenv("HWNORM_CACHE", str(tmp_path))
    for hours, name in [(2, "models/.building.a"), (0, "models/.building.b"), (2, "csim/.17.key")]:
        (tmp_path / name).mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - 3600 * hours,) * 2)
    cache.prune()
    assert sorted(path.name for path in tmp_path.glob("*/.*")) == [".building.b"]
