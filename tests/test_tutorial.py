"""docs/tutorial.md: its files and commands, as they stand there, from a model to a front and a package."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
#: A file that the reader is told to save, or commands.
BLOCK = re.compile(r"(?:[Ss]ave (?:it|this) as `([^`]+)`:\n\n)?```(\w+)\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path):
    """Every file saved, every command run in turn; each succeeds, and what the page promises is there."""
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert sum(language == "sh" for _, language, _ in blocks) >= 6
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(PAGE.parents[1])}
    said = {}
    for name, language, text in blocks:
        if language != "sh":
            assert name, f"a {language} block that nothing says to save: {text[:60]}"
            (tmp_path / name).write_text(text)
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        said[text.strip()] = done.stdout
    assert "0 of them run now" in said["hwnorm sweep stripes.toml"]  # the second time
    with (tmp_path / "front.csv").open() as file:
        front = list(csv.DictReader(file))
    assert front
    row = json.loads((tmp_path / "point" / "manifest.json").read_text())["row"]
    accuracies = re.findall(r"([\d.]+) % \(", said["python try_point.py"])
    assert float(accuracies[0]) > 90  # the model has learnt something
    assert [float(text) for text in accuracies] == [row["accuracy_layernorm"], row["accuracy_bit_true"]]
