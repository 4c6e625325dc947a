"""Files that are written whole or not at all, and artefacts that say what they were made from."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.version import VERSION

#: Version of the layout of every JSON artefact in a run folder.
SCHEMA = 2
#: The fields that every artefact begins with.
HEAD = ("kind", "schema", "hwnorm_version", "seed", "made_from")


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a file beside ``path``, then rename it into place.

    Raises:
        OSError: it cannot be, such as where ``path`` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: matplotlib and safetensors choose by it.
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        # Some writers, as safetensors', let their own user alone read what they write.
        beside.touch()
        mode = beside.stat().st_mode
        write(beside)
        beside.chmod(mode)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def remove_strays(folder: Path) -> None:
    """Remove what killed processes had begun to write into a folder that this one has for itself."""
    for path in folder.rglob(".*"):
        if re.fullmatch(r"\.\d+\..+", path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path, option: str) -> Iterator[Path]:
    """A folder beside one to be filled, which it is renamed to at the end; an empty one there gives way.

    Raises:
        InputError: the folder is not empty; the message names the option.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"option {option}: {folder} is not an empty folder; choose another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        beside.chmod(0o755)
        yield beside
        os.rename(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read_toml(path: Path, expected: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        expected: what the message about a missing file says.

    Raises:
        InputError: it is missing, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; {expected}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as TOML ({error})") from None


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""

    def write(beside: Path) -> None:
        beside.write_text(text, encoding="utf-8")

    write_whole(path, write)


def write_artefact(
    path: Path, kind: str, seed: int | None, made_from: Mapping[str, str], body: dict[str, Any]
) -> None:
    """Write a JSON artefact: its kind, the schema and hwnorm's version, seed, origin, then ``body``.

    Args:
        made_from: name -> digest of each thing that it was made from.
    """
    head = dict(zip(HEAD, (kind, SCHEMA, VERSION, seed, dict(made_from)), strict=True))
    write_text(path, json.dumps(head | body, indent=1, allow_nan=False) + "\n")


def read_artefact(path: Path, kind: str) -> dict[str, Any]:
    """Read a JSON artefact.

    Raises:
        InputError: it is missing, is not JSON, is of another kind, or of another schema version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; a {kind} was expected (run the stage that makes it)") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(data, dict) or data.get("kind") != kind:
        found = data.get("kind") if isinstance(data, dict) else type(data).__name__
        raise InputError(f"{path}: holds {found!r}; a {kind} was expected")
    if data.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: schema {data.get('schema')} by hwnorm {data.get('hwnorm_version')}; this is hwnorm "
            f"{VERSION}, which reads schema {SCHEMA}: run again into a new folder, or use that version"
        )
    origin = data.get("made_from")
    if not isinstance(origin, dict) or not all(isinstance(value, str) for value in origin.values()):
        raise InputError(f"{path}: made_from: {origin!r}; names with digests were expected")
    if not isinstance(data.get("hwnorm_version"), str) or not isinstance(data.get("seed"), int | None):
        raise InputError(f"{path}: its head is damaged; run the stage that makes it again")
    return data


def body(artefact: dict[str, Any]) -> dict[str, Any]:
    """What an artefact says, without its head: what a later stage depends on."""
    return {name: value for name, value in artefact.items() if name not in HEAD}


def digest(*parts: Any) -> str:
    """A short hash of files (``Path``), bytes, or anything that JSON can hold."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            raw = part.read_bytes()
        elif isinstance(part, bytes):
            raw = part
        else:
            raw = json.dumps(part, sort_keys=True).encode()
        sha.update(hashlib.sha256(raw).digest())
    return sha.hexdigest()[:16]
