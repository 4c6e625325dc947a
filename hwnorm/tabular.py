"""Rows as files for other tools: CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnorm.errors import InputError
from hwnorm.files import write_text, write_whole

if TYPE_CHECKING:
    import pyarrow

#: A row by its columns' names; a column that a row lacks is empty.
Rows = Sequence[Mapping[str, Any]]
#: The columns and what they hold: bool, int, float or str.
Types = Mapping[str, type]


def arrow_table(rows: Rows, types: Types) -> pyarrow.Table:
    """Rows as an Arrow table of these columns.

    Raises:
        InputError: PyArrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise InputError(
            "a Parquet table needs PyArrow, which is not installed; pip install 'hwnorm[sweep]' adds it"
        ) from None
    arrow = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in types.items()])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def write_parquet(path: Path, rows: Rows, types: Types) -> None:
    """Write rows as Parquet, whole or not at all; the same rows give the same bytes.

    Raises:
        InputError: PyArrow is not installed.
    """
    found = arrow_table(rows, types)
    import pyarrow.parquet as pq

    write_whole(path, lambda beside: pq.write_table(found, beside))


def write_csv(path: Path, rows: Rows, types: Types) -> None:
    """Write rows as CSV with a heading, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(types), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: row.get(name) for name in types} for row in rows)
    write_text(path, text.getvalue())
