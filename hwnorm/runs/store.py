"""Artefacts that several runs share, addressed by the hash of what they were made from."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hwnorm.files import digest


class Store:
    """A folder of entries, each some files of a run folder; runs get them as hard links or copies.

    Whoever finds an entry missing holds its lock (:meth:`claim`) until it is published, or until its process
    ends: others that need the same entry wait instead of making it too. Claims that are held together must
    always be made in the same order, as stages do layer after layer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._claims: dict[str, IO[bytes]] = {}

    def key(self, *made_from: str) -> str:
        """The name of an entry."""
        return digest(list(made_from))

    def fetch(self, key: str, folder: Path, last: Path) -> bool:
        """Bring an entry's files to where they belong in a run's ``folder``; False if there is none.

        ``last`` is the one that tells of the others, and is in place after them.
        """
        entry = self._entry(key)
        if not entry.is_dir():
            return False
        files = [path for path in entry.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: folder / path.relative_to(entry) == last):
            _place(path, folder / path.relative_to(entry))
        return True

    def claim(self, key: str) -> None:
        """Hold the lock of an entry; waits while another process does."""
        lock = self.path / "locks" / key
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        self._claims[key] = file

    def claimed(self, key: str) -> bool:
        """Whether it is this one who is to publish the entry."""
        return key in self._claims

    def publish(self, key: str, folder: Path, files: Sequence[Path]) -> None:
        """Make an entry, whole or not at all, of files and folders that lie in ``folder``; ends the claim."""
        entry = self._entry(key)
        entry.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=entry.parent))
        try:
            for top in files:
                for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                    if path.is_file():
                        _place(path, beside / path.relative_to(folder))
            if not entry.is_dir():
                os.rename(beside, entry)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        self.release(key)

    def release(self, key: str | None = None) -> None:
        """Give up one claim, or all: the next who waits makes the entry."""
        for name in list(self._claims) if key is None else [key]:
            self._claims.pop(name).close()

    def _entry(self, key: str) -> Path:
        return self.path / key[:2] / key


def _place(source: Path, target: Path) -> None:
    """A hard link, or a copy where there can be none; the file is there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{os.getpid()}.{target.name}")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, beside)
    os.replace(beside, target)
    beside.unlink(missing_ok=True)  # two names of one file: rename does nothing then
