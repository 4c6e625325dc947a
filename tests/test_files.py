"""Artefacts are written whole or not at all, and what is read is what was expected."""

from __future__ import annotations

import json

import pytest

from hwnorm.errors import InputError
from hwnorm.files import SCHEMA, digest, read_artefact, remove_strays, write_artefact, write_text, write_whole
from hwnorm.version import VERSION


def test_an_artefact_reads_back_with_its_origin(tmp_path):
    """The head names kind, schema, version, seed and origin; the body is kept; folders are made."""
    path = tmp_path / "a" / "b.json"
    write_artefact(path, "front", 7, {"profile": "abc"}, {"points": [1, 2.5]})
    assert read_artefact(path, "front") == {
        "kind": "front",
        "schema": SCHEMA,
        "hwnorm_version": VERSION,
        "seed": 7,
        "made_from": {"profile": "abc"},
        "points": [1, 2.5],
    }


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    """If writing breaks off, the old file stays and nothing lies beside it."""
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def write(beside):
        beside.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, write)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    """Itself, not what would have been renamed; and nothing is written beside it."""
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_text(tmp_path / "a", "text")
    assert caught.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_whoever_may_read_other_files_may_read_those_of_any_writer(tmp_path):
    (tmp_path / "usual").touch()

    def write(path):
        path.unlink()
        path.touch(mode=0o600)

    write_whole(tmp_path / "a.safetensors", write)
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_not_a_number_is_never_written(tmp_path):
    """NaN is no JSON: the file that was there stays."""
    path = tmp_path / "a.json"
    write_artefact(path, "front", None, {}, {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_artefact(path, "front", None, {}, {"r2": float("nan")})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "not there; a front was expected"),
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"[]", "holds 'list'; a front was expected"),
        (b'{"kind": "choice", "schema": 2}', "holds 'choice'; a front was expected"),
        (b'{"kind": "front", "schema": 99, "hwnorm_version": "9.9"}', "schema 99 by hwnorm 9.9"),
    ],
)
def test_what_is_no_such_artefact_is_refused(tmp_path, content, complaint):
    """A file that is missing, broken, of another kind or version is named in one line."""
    path = tmp_path / "front.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=complaint) as caught:
        read_artefact(path, "front")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_digest_sees_every_change_and_no_order_of_keys(tmp_path):
    """Equal inputs give equal digests; another value, file content or split of parts another one."""
    path = tmp_path / "a"
    path.write_bytes(b"1")
    assert digest({"a": 1, "b": 2}, path) == digest(json.loads('{"b": 2, "a": 1}'), path)
    before = digest(path)
    assert before == digest(b"1")
    path.write_bytes(b"2")
    assert len({before, digest(path), digest("ab"), digest("a", "b"), digest("b", "a"), digest(1.0)}) == 6


def test_what_a_killed_process_had_begun_to_write_goes(tmp_path):
    for name in (".1234.a.json", "fronts/.77.b.json", ".hidden", "a.json", "fronts/.made_from"):
        write_text(tmp_path / name, "x")
    remove_strays(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".hidden", "a.json", "fronts/.made_from"]
