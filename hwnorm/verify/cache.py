"""The cache of built simulators and programs: kept to a size, the ones used last stay."""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from hwnorm.verify.toolchain import cache_folder

#: What all simulators together may take on disk.
MOST_BYTES = 2 << 30
#: A simulator that was built or used within this time is never removed: another process may need it.
_RECENT_S = 3600.0


def use(simulator: Path) -> Path:
    """Note that a cached simulator is used now."""
    os.utime(simulator)
    return simulator


def prune() -> None:
    """Remove the simulators that were not used for the longest time until the rest fits."""
    folders = ("models", "csim", "integer", "engines", "failed")
    # What processes that were killed had begun to write.
    for path in cache_folder().glob("*/.*"):
        if time.time() - _used(path) > _RECENT_S:
            _remove(path)
    entries = [path for name in folders for path in (cache_folder() / name).glob("[!.]*")]
    kept = 0
    for used, path in sorted(((_used(path), path) for path in entries), reverse=True):
        kept += _size(path)
        if kept > MOST_BYTES and time.time() - used > _RECENT_S:
            _remove(path)


def cache_bytes() -> int:
    """What the cache takes on disk; 0 where there is none yet."""
    return _size(cache_folder())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _used(path: Path) -> float:
    """When it was used; 0 if another process has just removed it."""
    return path.stat().st_mtime if path.exists() else 0.0


def _size(path: Path) -> int:
    """Bytes of a file or a folder; of links nothing, nor of what is gone or cannot be read."""
    size = 0
    for file in [path, *path.rglob("*")]:
        with suppress(OSError):
            found = file.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size
