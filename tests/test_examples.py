"""examples/: each is a notebook in cells, and does what it says when it is run as a script."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from pages import ROOT

EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}
#: What each must print.
TOLD = {
    "kernels": [r"(4096 codes, passed: True(.|\n)*){2}", r"bit_true: (\d+\.\d+) %(.|\n)*integers: \1 %"],
    "integers": [
        r"100% of the weights .*\n *0% .*\n *25% ",
        r"head +10 of +10 rows",
        r"int32 \(2, 3, 49, 49\)",
    ],
    "engine": [r"logits equal: 1 of 1; cycles (\[\d+\]), predicted \1", r"blocks\.0\.mlp\.fc1; busy \d+"],
    "search": [r"scored: \{'nsga2': 6\}", r"1: 72 channels", r"emitted: engine engine\.json integer\.json"],
    "extend": [r"bound: passed", r"1024 codes, passed: True", r"passed: True; latency 2 where it was 1"],
}
#: Those that take less than 15 seconds of a core.
QUICK = {"extend"}


def test_each_is_looked_at():
    assert TOLD.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_is_a_notebook(name):
    """Cells of prose and of code in turn, the title first; lines of prose are as narrow as those of code."""
    text = EXAMPLES[name].read_text(encoding="utf-8")
    kinds = re.findall(r"^# %%( \[markdown\])?$", text, re.MULTILINE)
    assert text.startswith("# %% [markdown]\n# # ")
    assert len(kinds) >= 8
    assert kinds[::2] == [" [markdown]"] * len(kinds[::2])
    assert kinds[1::2] == [""] * len(kinds[1::2])
    for cell in re.findall(r"^# %% \[markdown\]\n(.*?)(?=^\n*# %%|\Z)", text, re.MULTILINE | re.DOTALL):
        assert all(line.startswith("#") for line in cell.splitlines() if line), cell


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in EXAMPLES]
)
def test_each_does_what_it_says(tmp_path, name):
    """In a folder of the user's, where it leaves one folder of its own."""
    script = tmp_path / f"{name}.py"
    script.write_bytes(EXAMPLES[name].read_bytes())
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in TOLD[name]:
        assert re.search(wanted, done.stdout), (wanted, done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {script.name, f"example_{name}"}


def test_the_page_names_them():
    """docs/use.md has a line for each."""
    page = (ROOT / "docs" / "use.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^    hwnorm example (\w+) ", page, re.MULTILINE)) == EXAMPLES.keys()
