"""One process at a time in a folder: a lock that names the other one."""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hwnorm.errors import InputError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, a hidden file beside it that goes at the end; the folder need not exist.

    The lock is the operating system's, so that one of a process that died holds nobody up. Where no file can
    be written beside the folder there is none.

    Raises:
        InputError: another process holds it; the message names it.
    """
    folder = folder.resolve()
    lock = folder.with_name(f".{folder.name}.lock")
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = _held(lock, folder)
    except OSError:
        yield  # such as a folder that can only be read: who cannot write there replaces nothing
        return
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(held)
        with suppress(OSError):  # what was written into them stays
            for parent in missing:
                parent.rmdir()


def _held(lock: Path, folder: Path) -> int:
    while True:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(file, 4096, 0).decode(errors="replace").strip() or "another process"
            os.close(file)
            raise InputError(f"{folder}: in use by {other}; wait for it, or choose another folder") from None
        except OSError:  # a file system without locks
            os.close(file)
            raise
        # Who held it before may have removed this very file.
        with suppress(FileNotFoundError):
            if os.stat(lock).st_ino == os.fstat(file).st_ino:
                os.ftruncate(file, 0)
                os.pwrite(file, _self().encode(), 0)
                return file
        os.close(file)


def _self() -> str:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    return f"process {os.getpid()} on {socket.gethostname()} ({' '.join(command.split())})"
