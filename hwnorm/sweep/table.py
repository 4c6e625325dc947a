"""The table of results: one row a finished or failed trial, as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnorm.errors import InputError
from hwnorm.runs.studies import MEASURED, setting_type


def need_sweep() -> None:
    """Complain if what the extra ``sweep`` installs is not there.

    Raises:
        InputError: Optuna or PyArrow is missing.
    """
    try:
        import optuna
        import pyarrow
    except ImportError as error:
        raise InputError(
            f"a sweep needs {error.name}, which is not installed; pip install 'hwnorm[sweep]' adds it"
        ) from None
    del optuna, pyarrow


def column_types(settings: Sequence[str]) -> dict[str, type]:
    """Columns of the table and their types; ``settings`` are the axes' (docs/sweeps.md)."""
    first = {"trial": int, "state": str, "error": str}
    last = {"hwnorm_version": str, "torch_version": str, "seconds": float}
    return first | {name: setting_type(name) for name in settings} | MEASURED | last


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a study's table.

    Raises:
        InputError: it is not there or cannot be read.
    """
    need_sweep()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise InputError(f"{path}: not there; `hwnorm sweep {path.parent}.toml` makes it") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({' '.join(str(error).split())})") from None
    return rows
