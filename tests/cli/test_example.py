"""``hwnorm example``: lists, writes, and never over a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwnorm.cli import app
from hwnorm.resources import FOLDERS

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments: str) -> str:
    """The one line of a command that must refuse."""
    result = CliRunner().invoke(app, ["example", *arguments])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line


def test_they_are_listed_with_their_titles():
    result = CliRunner().invoke(app, ["example"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == NAMES
    assert "kernels   From a timm model to kernels" in result.stdout


def test_one_is_written_byte_for_byte(folder):
    for arguments, path in ([["kernels"], "kernels.py"], [["kernels", "--out", "mine.py"], "mine.py"]):
        result = CliRunner().invoke(app, ["example", *arguments])
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"{path}: ")
        assert (folder / path).read_bytes() == (ROOT / "examples" / "kernels.py").read_bytes()


def test_what_cannot_be_written_is_told(folder):
    """A name that is none, a file that is there, a folder that is not, a place without a name."""
    assert refused("kernel") == (
        f"hwnorm: example 'kernel': there is none; there are {', '.join(NAMES)}; did you mean kernels?"
    )
    assert refused("../kernels").startswith("hwnorm: example '../kernels': there is none")
    (folder / "search.py").write_text("mine")
    assert refused("search") == "hwnorm: search.py: is there already; --out names another file"
    assert (folder / "search.py").read_text() == "mine"
    assert refused("search", "--out", "no/x.py") == "hwnorm: option --out: no: no folder"
    assert "the name of an example" in refused("--out", "x.py")
    assert [path.name for path in folder.iterdir()] == ["search.py"]


def test_no_result_depends_on_them():
    """A changed example makes no artefact stale: the digest of the code leaves them out."""
    assert "examples" not in FOLDERS
