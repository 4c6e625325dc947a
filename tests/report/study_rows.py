"""The rows of a small study."""

from __future__ import annotations

from pathlib import Path

import pyarrow
from pyarrow import parquet

#: What the trials of the small study are: accuracy, input bits, and whether all of their kernels are right.
TRIALS = ((90.5, 10, True), (91.0, 12, True), (None, 14, True), (91.5, 16, False), (85.0, 16, True))
UNMEASURED = {
    "accuracy_name": pyarrow.string(),
    "accuracy_layernorm": pyarrow.float64(),
    "accuracy_float": pyarrow.float64(),
    "accuracy_bit_true": pyarrow.float64(),
    "test_images": pyarrow.int64(),
    "test_fingerprint": pyarrow.string(),
    "area": pyarrow.float64(),
    "unit": pyarrow.string(),
    "lut": pyarrow.int64(),
    "ff": pyarrow.int64(),
    "dsp": pyarrow.int64(),
    "bram": pyarrow.int64(),
    "latency": pyarrow.int64(),
    "fmax_mhz": pyarrow.float64(),
    "kernels": pyarrow.int64(),
    "folded": pyarrow.int64(),
    "verified": pyarrow.bool_(),
}


def row_of(number: int, accuracy: float | None, bits: int, verified: bool) -> dict[str, object]:
    """A row of the small study; its area grows with its number."""
    row: dict[str, object] = {
        "trial": number,
        "state": "complete",
        "error": None,
        "input_bits": bits,
        "within": 0.1,
        "accuracy_name": "top-1",
        "accuracy_layernorm": 91.75,
        "accuracy_float": accuracy,
        "accuracy_bit_true": accuracy,
        "test_images": 2000,
        "test_fingerprint": "beef0123",
        "area": 100.0 + 20 * number,
        "unit": "LUT",
        "lut": 100 + 20 * number,
        "ff": 31,
        "dsp": 0,
        "bram": 0,
        "latency": 2,
        "fmax_mhz": 312.5,
        "kernels": 2,
        "folded": 0,
        "verified": verified,
        "hwnorm_version": "0.1.0",
        "torch_version": "2.13.0",
        "seconds": 12.5,
    }
    if accuracy is None:
        row |= dict.fromkeys(UNMEASURED)
        row |= {"state": "failed", "error": "ToolError: <yosys> stopped & said nothing"}
    return row


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    table = pyarrow.Table.from_pylist(rows)
    schema = pyarrow.schema([(f.name, UNMEASURED.get(f.name, f.type)) for f in table.schema])
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)
