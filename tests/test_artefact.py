"""Artefacts: what is written comes back, and what is wrong in a file is named in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.artefact import Artefact, Part, json_schema
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat


class Row(Part):
    name: str
    count: int


class Sheet(Artefact):
    """Rows."""

    KIND = "sheet"

    format: FixedFormat
    factor: float
    rows: tuple[Row, ...]


SHEET = Sheet(format=FixedFormat(16, 11), factor=0.5, rows=(Row(name="a", count=1),))


@given(
    st.integers(2, 32).flatmap(lambda width: st.tuples(st.just(width), st.integers(0, width))),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.builds(Row, name=st.text(), count=st.integers(-(2**60), 2**60)), max_size=3),
)
def test_what_is_written_comes_back(tmp_path_factory, widths, factor, rows):
    """Equal, floats to the last bit, as JSON too."""
    sheet = Sheet(format=FixedFormat(*widths), factor=factor, rows=tuple(rows))
    path = tmp_path_factory.mktemp("sheet") / "sheet.json"
    sheet.write(path, 3, {"other": "abc"})
    assert Sheet.read(path) == sheet
    assert Sheet.read(path).to_json() == sheet.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"factor": "much"},
            'factor: Input should be a valid number, unable to parse string as a number (found "much")',
        ),
        ({"format": "u8"}, "format: format 'u8': not of the form"),
        ({"format": 8}, "format: a format is text such as s16f11 (found 8)"),
        ({"rows": [{"name": "a", "count": 1.5}]}, "rows.0.count: Input should be a valid integer"),
        ({"rows": [{"name": "a"}]}, "rows.0.count: missing"),
        ({"rows": None}, "rows: Input should be a valid tuple (found null)"),
        ({"colour": "red"}, 'colour: Extra inputs are not permitted (found "red")'),
        ({"made_from": "abc"}, "made_from: 'abc'; names with digests"),
        ({"seed": "three"}, "its head is damaged"),
        ({"kind": "front"}, "holds 'front'; a sheet was expected"),
        ({"schema": 1}, "schema 1 by hwnorm"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    """File, field, what was found; one line."""
    path = tmp_path / "sheet.json"
    SHEET.write(path, None, {})
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError) as caught:
        Sheet.read(path, "`hwnorm make` makes it again")
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_infinity_in_a_file_is_refused(tmp_path):
    """JSON as Python reads it knows Infinity and NaN; artefacts do not hold them."""
    path = tmp_path / "sheet.json"
    SHEET.write(path, None, {})
    path.write_text(path.read_text().replace("0.5", "Infinity"))
    with pytest.raises(InputError, match="factor: Input should be a finite number"):
        Sheet.read(path)


def test_the_schema_is_of_the_whole_file(tmp_path):
    """Head and body; a file that was written has all that it requires and nothing else."""
    schema = json_schema(Sheet)
    SHEET.write(path := Path(tmp_path / "sheet.json"), 0, {"other": "abc"})
    data = json.loads(path.read_text())
    assert set(schema["required"]) == set(data) == set(schema["properties"])
    assert schema["properties"]["kind"] == {"const": data["kind"]}
    assert schema["additionalProperties"] is False
