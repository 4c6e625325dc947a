"""Profiles and fronts are the same, byte for byte, whatever the processor and its threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: What the instruction sets of this processor are called, beyond those that NumPy is built for.
EXTENSIONS = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
MACHINES = {
    "as it is": {"OMP_NUM_THREADS": "1"},
    "avx2": {"OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "avx2"},
    "an old one": {
        "OMP_NUM_THREADS": "1",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "NPY_DISABLE_CPU_FEATURES": " ".join(EXTENSIONS),
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}


#: Both commands in one process: most of what they take is its start.
BOTH = """
import sys
from hwnorm.cli.app import app
run, *options = sys.argv[1:]
for command in (["capture", run, *options], ["search", run, "--jobs", "1"]):
    try:
        app(command)
    except SystemExit as end:
        if end.code:
            raise
"""


def searched(run: Path, environment: dict[str, str]) -> dict[str, bytes]:
    """The artefacts of a small search in a process of that environment, by their path in the run folder."""
    options = ["--only", "blocks.3.norm?", "--images", "100", "--population", "8", "--generations", "3"]
    command = [sys.executable, "-c", BOTH, str(run), *options]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*.json")}


@pytest.mark.slow
def test_profiles_and_fronts_are_the_same_on_every_machine(tmp_path):
    found = {name: searched(tmp_path / name, environment) for name, environment in MACHINES.items()}
    expected = found["as it is"]
    assert {"profiles/blocks.3.norm1.json", "fronts/blocks.3.norm2.json"} <= set(expected)
    for name, artefacts in found.items():
        assert [path for path in expected if artefacts[path] != expected[path]] == [], name
