"""Trials that take no time, in place of the pipeline: they can be pickled, and leave traces to count."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwnorm.runs.settings import RunSettings
from hwnorm.sweep.study import Study, read_study

GRID = """
[axes]
input_bits = [8, 10, 12, 16]
output_bits = [6, 8]
within = [0.05, 0.3, 1.0]
"""


def measured(settings: RunSettings) -> dict[str, Any]:
    """What a trial of these settings finds, always the same."""
    bits = settings.input_bits * settings.output_bits
    return {
        "accuracy_name": "top-1",
        "accuracy_layernorm": 91.85,
        "accuracy_float": 90.0,
        "accuracy_bit_true": round(90 - 500 / (bits + 100 * settings.within), 3),
        "test_images": 2000,
        "test_fingerprint": "abc",
        "area": round(bits * (1 + settings.within), 1),
        "unit": "LUT",
        "lut": bits,
        "ff": settings.output_bits,
        "dsp": 0,
        "bram": 0,
        "latency": 1,
        "fmax_mhz": None if bits < 60 else 400.0,
        "kernels": 3,
        "folded": 1,
        "verified": True,
    }


def write_study(folder: Path, text: str = GRID, name: str = "s") -> Study:
    """A study file that is written and read."""
    path = folder / f"{name}.toml"
    path.write_text(text)
    return read_study(path)


def count(folder: Path) -> int:
    """Note in a trial's folder that it ran; how often it has by now."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ran").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return runs(folder)


def runs(folder: Path) -> int:
    """How often the trial in this folder ran."""
    path = folder / "ran"
    return len(path.read_text().split()) if path.is_file() else 0


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, a minute at most."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def quick(folder: Path, settings: RunSettings, store: Path) -> dict[str, Any]:
    """Take no time."""
    count(folder)
    return measured(settings)


def slow(folder: Path, settings: RunSettings, store: Path) -> dict[str, Any]:
    """Take long enough to be killed."""
    count(folder)
    time.sleep(0.1)
    return measured(settings)


def failing(folder: Path, settings: RunSettings, store: Path) -> dict[str, Any]:
    """Fail with ten bits, until there is a file ``mended`` beside the study's folder."""
    count(folder)
    if settings.input_bits == 10 and not (store.parents[1] / "mended").exists():
        raise ValueError("ten bits are\ntoo many")
    return measured(settings)


def dying(folder: Path, settings: RunSettings, store: Path) -> dict[str, Any]:
    """With ten bits, end the process the first time, with twelve always."""
    if (count(folder) == 1 and settings.input_bits == 10) or settings.input_bits == 12:
        os._exit(1)
    return measured(settings)


def waiting(folder: Path, settings: RunSettings, store: Path) -> dict[str, Any]:
    """With twelve bits, the first time, wait to be killed; ``ran`` holds the process."""
    if count(folder) == 1 and (settings.input_bits, settings.output_bits) == (12, 6):
        time.sleep(600)
    return measured(settings)
